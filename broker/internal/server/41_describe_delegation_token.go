package server

import "github.com/twmb/franz-go/pkg/kmsg"

// DescribeDelegationToken (API key 41), versions 1–3 (KIP-48): refused, see noTokens.
func init() { register(41, 1, 3, (*Server).describeDelegationToken) }

func (s *Server) describeDelegationToken(r *Request, req *kmsg.DescribeDelegationTokenRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeDelegationTokenResponse)
	resp.ErrorCode = noTokens(r)
	return resp
}
