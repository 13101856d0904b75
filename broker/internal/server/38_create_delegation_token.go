package server

import "github.com/twmb/franz-go/pkg/kmsg"

// CreateDelegationToken (API key 38), versions 1–3 (KIP-48): refused, see noTokens.
func init() { register(38, 1, 3, (*Server).createDelegationToken) }

func (s *Server) createDelegationToken(r *Request, req *kmsg.CreateDelegationTokenRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreateDelegationTokenResponse)
	resp.ErrorCode = noTokens(r)
	resp.PrincipalType, resp.PrincipalName = "User", r.user()
	resp.TokenRequesterPrincipalType, resp.TokenRequesterPrincipalName = "User", r.user()
	at := noTime(resp.ErrorCode)
	resp.IssueTimestamp, resp.ExpiryTimestamp, resp.MaxTimestamp = at, at, at
	resp.HMAC = []byte{}
	return resp
}
