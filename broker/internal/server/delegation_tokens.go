package server

import "github.com/twmb/franz-go/pkg/kerr"

// noTokens is how delegation tokens (API keys 38–41, KIP-48) are refused. They need a secret that all brokers
// share (delegation.token.secret.key). There is none here, and the answers are Kafka's without one: clients that may
// not ask for tokens at all are told so first.
func noTokens(r *Request) int16 {
	if r.Principal == Anonymous || r.Listener.SASL == nil && r.Listener.TLS == nil {
		return kerr.DelegationTokenRequestNotAllowed.Code
	}
	return kerr.DelegationTokenAuthDisabled.Code
}

// noTime is the time in a refusal, as Kafka fills it in.
func noTime(code int16) int64 {
	if code == kerr.DelegationTokenRequestNotAllowed.Code {
		return -1
	}
	return 0
}
