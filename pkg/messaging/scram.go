package messaging

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/IBM/sarama"
)

// scram is the client's side of SCRAM (RFC 5802, RFC 7677) without channel binding, as
// Kafka uses it: client-first, server-first, client-final, server-final.
type scram struct {
	hash           func() hash.Hash
	user, password string
	nonce          string

	step        int
	firstBare   string
	serverProof []byte
}

// maxIterations bounds the work that a hostile server can ask for.
const maxIterations = 1 << 20

func newSCRAM(mechanism string) *scram {
	if mechanism == sarama.SASLTypeSCRAMSHA512 {
		return &scram{hash: sha512.New, nonce: rand.Text()}
	}
	return &scram{hash: sha256.New, nonce: rand.Text()}
}

// Begin implements sarama.SCRAMClient.
func (s *scram) Begin(user, password, _ string) error {
	s.user = strings.NewReplacer("=", "=3D", ",", "=2C").Replace(user)
	s.password = password
	return nil
}

// Done implements sarama.SCRAMClient.
func (s *scram) Done() bool { return s.step == 3 }

// Step implements sarama.SCRAMClient.
func (s *scram) Step(challenge string) (string, error) {
	switch s.step {
	case 0:
		s.step++
		s.firstBare = "n=" + s.user + ",r=" + s.nonce
		return "n,," + s.firstBare, nil
	case 1:
		s.step++
		return s.final(challenge)
	case 2:
		s.step++
		return "", s.verify(challenge)
	default:
		return "", errors.New("SCRAM: the server goes on after the end")
	}
}

func (s *scram) final(serverFirst string) (string, error) {
	fields := attributes(serverFirst)
	salt, err := base64.StdEncoding.DecodeString(fields["s"])
	if err != nil || len(salt) == 0 {
		return "", errors.New("SCRAM: the server's salt is unreadable")
	}
	iterations, err := strconv.Atoi(fields["i"])
	if err != nil || iterations < 1 || iterations > maxIterations {
		return "", fmt.Errorf("SCRAM: the server asks for %q iterations", fields["i"])
	}
	nonce := fields["r"]
	if !strings.HasPrefix(nonce, s.nonce) || len(nonce) == len(s.nonce) {
		return "", errors.New("SCRAM: the server's nonce does not continue ours")
	}
	salted, err := pbkdf2.Key(s.hash, s.password, salt, iterations, s.hash().Size())
	if err != nil {
		return "", err
	}
	clientKey := s.mac(salted, "Client Key")
	storedKey := s.hash()
	storedKey.Write(clientKey)

	withoutProof := "c=biws,r=" + nonce // biws is "n,,"
	message := s.firstBare + "," + serverFirst + "," + withoutProof
	signature := s.mac(storedKey.Sum(nil), message)
	proof := make([]byte, len(clientKey))
	subtle.XORBytes(proof, clientKey, signature)
	s.serverProof = s.mac(s.mac(salted, "Server Key"), message)
	return withoutProof + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

func (s *scram) verify(serverFinal string) error {
	fields := attributes(serverFinal)
	if reason, ok := fields["e"]; ok {
		return fmt.Errorf("SCRAM: the server refuses: %s", reason)
	}
	got, err := base64.StdEncoding.DecodeString(fields["v"])
	if err != nil || !hmac.Equal(got, s.serverProof) || bytes.Equal(got, nil) {
		return errors.New("SCRAM: the server does not know the password")
	}
	return nil
}

func (s *scram) mac(key []byte, message string) []byte {
	m := hmac.New(s.hash, key)
	m.Write([]byte(message))
	return m.Sum(nil)
}

func attributes(message string) map[string]string {
	fields := make(map[string]string)
	for part := range strings.SplitSeq(message, ",") {
		if name, value, ok := strings.Cut(part, "="); ok {
			fields[name] = value
		}
	}
	return fields
}
