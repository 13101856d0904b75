// Package sasl is the server's side of SASL exchanges: PLAIN (RFC 4616) and
// SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677), as Apache Kafka has them. It
// does no I/O and knows no users: whoever starts an exchange brings them.
//
//	token from the client ─▶ Exchange.Step ─▶ token for the client, until Done
package sasl

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
)

// The mechanisms, by their names in SaslHandshake.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
)

// ErrRefused is returned for wrong credentials and for unknown users alike; its text
// goes to the client.
var ErrRefused = errors.New("Authentication failed: Invalid username or password") //nolint:staticcheck // Kafka's words

// ErrMalformed is returned for a token that is not of the mechanism's form. Its text
// says what is wrong with it, and holds nothing of the token.
var ErrMalformed = errors.New("malformed SASL token")

// Exchange is one log-in. It is not safe for concurrent use.
type Exchange interface {
	// Step takes the client's token and returns the one for the client, which may be
	// empty. After an error the exchange is over, and the client is not logged in.
	Step(token []byte) (challenge []byte, err error)
	// Done tells whether the client is logged in as User.
	Done() bool
	User() string
}

// NewPlain starts an exchange of one token: authorization id, user and password,
// separated by NUL. verify must take the same time for every user and password.
func NewPlain(verify func(user, password string) bool) Exchange { return &plain{verify: verify} }

type plain struct {
	verify func(user, password string) bool
	user   string
	done   bool
}

func (p *plain) Done() bool   { return p.done }
func (p *plain) User() string { return p.user }

func (p *plain) Step(token []byte) ([]byte, error) {
	parts := strings.Split(string(token), "\x00")
	switch {
	case len(parts) != 3:
		return nil, malformed(fmt.Sprintf("Invalid SASL/PLAIN response: expected 3 tokens, got %d", min(len(parts), 4)))
	case parts[1] == "":
		return nil, malformed("Authentication failed: username not specified")
	case parts[2] == "":
		return nil, malformed("Authentication failed: password not specified")
	case !p.verify(parts[1], parts[2]):
		return nil, ErrRefused
	case parts[0] != "" && parts[0] != parts[1]:
		return nil, errOtherName
	}
	p.user, p.done = parts[1], true
	return nil, nil
}

// Passwords checks PLAIN passwords against a list. Both are hashed first, so that the
// comparison takes the same time whatever they are and whether the user exists.
type Passwords map[string]string

// Verify is for NewPlain.
func (p Passwords) Verify(user, password string) bool {
	want, known := p[user]
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && known
}

// errOtherName is for a client that wants to be somebody else than who it proves to be.
const errOtherName = malformedError("Authentication failed: Client requested an authorization id that is different from username")

// Told is what a client hears of err, in Kafka's words: of SCRAM only that it failed, whatever the
// reason. again says that the client had logged in before (KIP-368).
func Told(err error, mechanism string, again bool) string {
	if mechanism == Plain || errors.Is(err, errOtherName) {
		return err.Error()
	}
	what := "authentication"
	if again {
		what = "re-authentication"
	}
	return "Authentication failed during " + what + " due to invalid credentials with SASL mechanism " + mechanism
}

type malformedError string

func malformed(what string) error      { return malformedError(what) }
func (e malformedError) Error() string { return string(e) }
func (e malformedError) Unwrap() error { return ErrMalformed }
