package server

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/sasl"
)

// SaslAuthenticate (API key 36), versions 0–2: one token of a log-in (KIP-152).
//
//	v1 how long the log-in holds (KIP-368)   v2 flexible
func init() { register(36, 0, 2, (*Server).saslAuthenticate) }

func (s *Server) saslAuthenticate(r *Request, req *kmsg.SASLAuthenticateRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	if r.login == nil || r.login.exchange == nil {
		resp.ErrorCode = kerr.IllegalSaslState.Code
		resp.ErrorMessage = text("SaslAuthenticate request received after successful authentication")
		return resp
	}
	again := r.login.conn.principal != Anonymous
	challenge, err := r.login.step(r.ctx, req.SASLAuthBytes)
	if err != nil {
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		resp.ErrorMessage = text(sasl.Told(err, r.login.mechanism, again))
		return resp
	}
	resp.ErrorMessage = text("") // not null, as in Kafka
	resp.SASLAuthBytes = challenge
	if resp.SASLAuthBytes == nil {
		resp.SASLAuthBytes = []byte{}
	}
	if !r.login.expires.IsZero() && r.login.state == loggedIn {
		resp.SessionLifetimeMillis = time.Until(r.login.expires).Milliseconds()
	}
	return resp
}
