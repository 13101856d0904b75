package server

import (
	"crypto/tls"
	"time"

	"millrace/broker/internal/principal"
	"millrace/broker/internal/sasl"
)

// Listener is one address on which clients come in.
type Listener struct {
	Name           string // Kafka's listener name, such as PLAINTEXT
	Bind           string // host:port that we listen on
	AdvertisedHost string // what Metadata tells clients that came in here
	AdvertisedPort int32
	// TLS is spoken where it is set (SSL, SASL_SSL).
	TLS *tls.Config
	// Names make the principal from a client's certificate.
	Names principal.Rules
	// SASL is how clients log in (SASL_PLAINTEXT, SASL_SSL); nil: they do not.
	SASL *SASL
}

// SASL is how clients of a listener log in.
type SASL struct {
	Mechanisms []string
	// Users are those of PLAIN; SCRAM's are in the metadata.
	Users sasl.Passwords
	// MaxReceive bounds a request before the log-in (sasl.server.max.receive.size).
	MaxReceive int32
	// Session is how long a log-in holds (connections.max.reauth.ms); 0: for ever.
	Session time.Duration
	// FailureDelay holds the answer to a failed log-in back.
	FailureDelay time.Duration
}

// principalOf is a TLS client's name in Kafka's form: that of its certificate.
func (l *Listener) principalOf(state tls.ConnectionState) (string, error) {
	if len(state.PeerCertificates) == 0 {
		return Anonymous, nil
	}
	name, err := principal.Name(state.PeerCertificates[0].RawSubject)
	if err == nil {
		name, err = l.Names.Apply(name)
	}
	return "User:" + name, err
}
