package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// SaslHandshake (API key 17), versions 0–1: which mechanism the client logs in by.
//
//	v0 tokens follow as they are (KIP-43)   v1 tokens follow in SaslAuthenticate (KIP-152)
func init() { register(17, 0, 1, (*Server).saslHandshake) }

func (s *Server) saslHandshake(r *Request, req *kmsg.SASLHandshakeRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
	if r.login == nil {
		resp.ErrorCode = kerr.IllegalSaslState.Code
		return resp
	}
	again := r.login.state == loggedIn
	resp.ErrorCode = r.login.begin(req.Mechanism, r.Version)
	if again && resp.ErrorCode == kerr.UnsupportedSaslMechanism.Code {
		return &hangUp{reason: r.login.failed.Error()} // Kafka answers nothing then
	}
	if resp.ErrorCode != kerr.IllegalSaslState.Code {
		resp.SupportedMechanisms = r.login.on.Mechanisms
	}
	return resp
}
