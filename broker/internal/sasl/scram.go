package sasl

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"hash"
	"math/big"
	"strings"
)

// Bounds of a credential's iterations, as in Kafka.
const (
	MinIterations = 4096
	MaxIterations = 16384
)

// Credential is what is kept of a user's password (RFC 5802, section 3): the password
// cannot be found from it, nor can a client log in with it.
type Credential struct {
	Salt, StoredKey, ServerKey []byte
	Iterations                 int32
}

func hashOf(mechanism string) func() hash.Hash {
	switch mechanism {
	case ScramSHA256:
		return sha256.New
	case ScramSHA512:
		return sha512.New
	}
	return nil
}

func mac(h func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// CredentialOf turns a salted password (Hi of RFC 5802, which a client's tools work
// out) into what is kept of it.
func CredentialOf(mechanism string, salt, saltedPassword []byte, iterations int32) Credential {
	h := hashOf(mechanism)
	digest := h()
	digest.Write(mac(h, saltedPassword, "Client Key"))
	return Credential{Salt: bytes.Clone(salt), StoredKey: digest.Sum(nil), ServerKey: mac(h, saltedPassword, "Server Key"), Iterations: iterations}
}

// saltOf makes a salt that looks like those of Kafka's tools, 130 bits in base 36: one that is made up
// for a user that does not exist must not look otherwise.
func saltOf(random []byte) []byte {
	n := new(big.Int).SetBytes(random[:17])
	return []byte(n.Rsh(n, 6).Text(36))
}

// NewCredential salts and hashes a password.
func NewCredential(mechanism, password string, iterations int32) (Credential, error) {
	h := hashOf(mechanism)
	if h == nil {
		return Credential{}, fmt.Errorf("%q is no SCRAM mechanism", mechanism)
	}
	random := make([]byte, 17)
	_, _ = rand.Read(random) // never fails
	salt := saltOf(random)
	salted, err := pbkdf2.Key(h, password, salt, int(iterations), h().Size())
	if err != nil {
		return Credential{}, err
	}
	return CredentialOf(mechanism, salt, salted, iterations), nil
}

// Users finds a user's credential for one mechanism.
type Users func(user string) (Credential, bool)

// scram is an exchange of two tokens each way:
//
//	client: n,,n=USER,r=NONCE         server: r=NONCE+MORE,s=SALT,i=ITERATIONS
//	client: c=biws,r=NONCE+MORE,p=PROOF   server: v=SIGNATURE
type scram struct {
	mechanism  string
	hash       func() hash.Hash
	users      Users
	more       string // our part of the nonce
	secret     []byte // makes up salts of users that do not exist
	step       int
	user       string
	known      bool
	credential Credential
	header     string // GS2 header of the first message
	auth       string // client-first-bare "," server-first
	nonce      string
	done       bool
}

// NewScram starts an exchange. secret is any random text that stays the same while the
// broker runs: an unknown user gets a salt made from it, so that nobody learns by trying
// which users there are. It returns nil for an unknown mechanism.
func NewScram(mechanism string, users Users, secret []byte) Exchange {
	return newScram(mechanism, users, secret, rand.Text())
}

func newScram(mechanism string, users Users, secret []byte, nonce string) Exchange {
	h := hashOf(mechanism)
	if h == nil {
		return nil
	}
	return &scram{mechanism: mechanism, hash: h, users: users, secret: secret, more: nonce}
}

func (s *scram) Done() bool   { return s.done }
func (s *scram) User() string { return s.user }

func (s *scram) refused() error {
	return malformed("wrong password or unknown user")
}

func (s *scram) Step(token []byte) ([]byte, error) {
	s.step++
	switch s.step {
	case 1:
		return s.first(string(token))
	case 2:
		return s.final(string(token))
	}
	return nil, malformed("SCRAM exchange is over")
}

func (s *scram) first(token string) ([]byte, error) {
	binding, rest, ok := strings.Cut(token, ",")
	authzid, bare, ok2 := strings.Cut(rest, ",")
	fields := strings.Split(bare, ",")
	if !ok || !ok2 || binding != "n" && binding != "y" || len(fields) < 2 {
		return nil, malformed("Invalid SCRAM client first message format")
	}
	name, ok := strings.CutPrefix(fields[0], "n=")
	nonce, ok2 := strings.CutPrefix(fields[1], "r=")
	if !ok || !ok2 || name == "" || nonce == "" {
		return nil, malformed("Invalid SCRAM client first message format")
	}
	for _, extension := range fields[2:] {
		if extension == "tokenauth=true" {
			return nil, malformed("Authentication with delegation tokens is not enabled")
		}
	}
	user, ok := unescape(name)
	if !ok {
		return nil, malformed("Invalid SCRAM username")
	}
	if as, asked := strings.CutPrefix(authzid, "a="); authzid != "" && (!asked || as != name) {
		return nil, errOtherName
	}
	s.header = binding + "," + authzid + ","
	s.user = user
	if s.credential, s.known = s.users(user); !s.known {
		salt := saltOf(mac(s.hash, s.secret, user))
		s.credential = Credential{
			Salt: salt, Iterations: MinIterations, StoredKey: mac(s.hash, salt, "stored"), ServerKey: mac(s.hash, salt, "server"),
		}
	}
	s.nonce = nonce + s.more
	answer := fmt.Sprintf("r=%s,s=%s,i=%d", s.nonce, base64.StdEncoding.EncodeToString(s.credential.Salt), s.credential.Iterations)
	s.auth = bare + "," + answer
	return []byte(answer), nil
}

func (s *scram) final(token string) ([]byte, error) {
	without, proof, ok := strings.Cut(token, ",p=")
	fields := strings.Split(without, ",")
	if !ok || len(fields) < 2 {
		return nil, malformed("Invalid SCRAM client final message format")
	}
	if fields[0] != "c="+base64.StdEncoding.EncodeToString([]byte(s.header)) || fields[1] != "r="+s.nonce {
		return nil, malformed("Invalid client nonce or channel binding in the final client message")
	}
	given, err := base64.StdEncoding.DecodeString(proof)
	if err != nil || len(given) != s.hash().Size() {
		return nil, malformed("Invalid SCRAM client final message format")
	}
	auth := s.auth + "," + without
	key := mac(s.hash, s.credential.StoredKey, auth)
	subtle.XORBytes(key, key, given)
	digest := s.hash()
	digest.Write(key)
	if !hmac.Equal(digest.Sum(nil), s.credential.StoredKey) || !s.known {
		return nil, s.refused()
	}
	s.done = true
	return []byte("v=" + base64.StdEncoding.EncodeToString(mac(s.hash, s.credential.ServerKey, auth))), nil
}

// unescape reads a user name, in which "=2C" is a comma and "=3D" an equals sign.
func unescape(name string) (string, bool) {
	out := strings.NewReplacer("=2C", ",", "=3D", "=").Replace(name)
	return out, strings.Count(name, "=") == strings.Count(name, "=2C")+strings.Count(name, "=3D")
}
