package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/sasl"
)

// login is where a connection of a listener with SASL stands (KIP-43, KIP-152, KIP-368).
//
//	        ApiVersions              SaslAuthenticate
//	        ┌──────┐                 ┌──────┐
//	start ─▶ greeting ──SaslHandshake──▶ proving ──the last token──▶ loggedIn
//	                                    ▲                              │
//	                                    └─SaslHandshake, when it holds for a time only
//
// After SaslHandshake version 0 tokens come without requests around them. A failed log-in is
// answered, then the connection ends.
type login struct {
	conn      *conn
	on        *SASL
	state     loginState
	mechanism string
	exchange  sasl.Exchange
	greeted   bool      // ApiVersions has been answered: once is enough before the log-in
	raw       bool      // tokens without requests
	expires   time.Time // zero: never
	failed    error     // the connection ends after the answer
}

type loginState uint8

const (
	greeting loginState = iota
	proving
	loggedIn
)

// scramSecret makes up salts for users that there are not.
var scramSecret = []byte(rand.Text())

// gate lets through what may come in this state. The client of a refused request is told
// nothing: it does not keep to the protocol.
func (l *login) gate(key int16, size int32) error {
	if l.state != loggedIn && size > l.on.MaxReceive {
		return fmt.Errorf("request of %d bytes before the log-in, sasl.server.max.receive.size is %d", size, l.on.MaxReceive)
	}
	allowed := []int16{int16(kmsg.ApiVersions), int16(kmsg.SASLHandshake)}
	switch l.state {
	case greeting:
		if l.greeted {
			allowed = allowed[1:]
		}
	case proving:
		if slices.Contains(allowed, key) { // answered with ILLEGAL_SASL_STATE
			l.failed = fmt.Errorf("unexpected %s in the middle of the log-in", kmsg.NameForKey(key))
			return nil
		}
		allowed = []int16{int16(kmsg.SASLAuthenticate)}
	case loggedIn:
		if l.expires.IsZero() || time.Now().Before(l.expires) {
			return nil
		}
		allowed = allowed[1:]
	}
	if slices.Contains(allowed, key) {
		return nil
	}
	if l.state == loggedIn {
		return fmt.Errorf("%s after the log-in's time was over (connections.max.reauth.ms)", kmsg.NameForKey(key))
	}
	return fmt.Errorf("unexpected %s before the log-in", kmsg.NameForKey(key))
}

// begin starts an exchange. It returns a Kafka error code.
func (l *login) begin(mechanism string, version int16) int16 {
	if l.state == proving || l.state == loggedIn && l.on.Session == 0 {
		return kerr.IllegalSaslState.Code
	}
	if !slices.Contains(l.on.Mechanisms, mechanism) {
		l.failed = fmt.Errorf("SASL mechanism %.40q is not enabled, %v are", mechanism, l.on.Mechanisms)
		return kerr.UnsupportedSaslMechanism.Code
	}
	if l.state == loggedIn && mechanism != l.mechanism {
		l.failed = fmt.Errorf("log-in again by %s, the first was by %s", mechanism, l.mechanism)
		return 0 // as Kafka answers before it closes
	}
	if mechanism == sasl.Plain {
		l.exchange = sasl.NewPlain(l.on.Users.Verify)
	} else {
		l.exchange = sasl.NewScram(mechanism, func(user string) (sasl.Credential, bool) {
			return l.conn.server.cluster.Image().Scram(user, mechanism)
		}, scramSecret)
	}
	l.state, l.mechanism, l.raw = proving, mechanism, version == 0
	return 0
}

// step takes a token. An error is why the log-in failed, in words for the client.
func (l *login) step(ctx context.Context, token []byte) ([]byte, error) {
	challenge, err := l.exchange.Step(token)
	if err == nil && l.exchange.Done() {
		principal := "User:" + l.exchange.User()
		if was := l.conn.principal; was != Anonymous && was != principal {
			err = fmt.Errorf("Cannot change principals during re-authentication from %s: %s", was, principal) //nolint:staticcheck // Kafka's words
		} else {
			l.conn.principal, l.state, l.exchange = principal, loggedIn, nil
			if l.on.Session > 0 {
				l.expires = time.Now().Add(l.on.Session)
			}
		}
	}
	if err != nil {
		l.failed = fmt.Errorf("log-in by %s failed: %w", l.mechanism, err)
		timer := time.NewTimer(l.on.FailureDelay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return challenge, err
}

// rawToken reads a token that no request is around, and answers it likewise.
func (c *conn) rawToken(ctx context.Context) error {
	token, err := c.reader.Token(c.login.on.MaxReceive)
	if err != nil {
		return err
	}
	challenge, err := c.login.step(ctx, token)
	if err != nil {
		return c.login.failed
	}
	return c.write([][]byte{append(binary.BigEndian.AppendUint32(nil, uint32(len(challenge))), challenge...)})
}

// startTLS does the handshake of a listener with TLS. A client that stops in the middle costs a
// connection for the stall time.
func (c *conn) startTLS(ctx context.Context) error {
	t, ok := c.nc.(*tls.Conn)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.server.stall)
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("%w: %w", errNoTLS, err)
	}
	if c.listener.SASL == nil {
		var err error
		if c.principal, err = c.listener.principalOf(t.ConnectionState()); err != nil {
			return err
		}
	}
	return nil
}

var errNoTLS = errors.New("TLS handshake failed")
