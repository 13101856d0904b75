package server

import "github.com/twmb/franz-go/pkg/kmsg"

// RenewDelegationToken (API key 39), versions 1–2 (KIP-48): refused, see noTokens.
func init() { register(39, 1, 2, (*Server).renewDelegationToken) }

func (s *Server) renewDelegationToken(r *Request, req *kmsg.RenewDelegationTokenRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.RenewDelegationTokenResponse)
	resp.ErrorCode = noTokens(r)
	resp.ExpiryTimestamp = noTime(resp.ErrorCode)
	return resp
}
