package server

import "github.com/twmb/franz-go/pkg/kmsg"

// ExpireDelegationToken (API key 40), versions 1–2 (KIP-48): refused, see noTokens.
func init() { register(40, 1, 2, (*Server).expireDelegationToken) }

func (s *Server) expireDelegationToken(r *Request, req *kmsg.ExpireDelegationTokenRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ExpireDelegationTokenResponse)
	resp.ErrorCode = noTokens(r)
	resp.ExpiryTimestamp = noTime(resp.ErrorCode)
	return resp
}
