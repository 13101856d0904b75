package broker_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"millrace/broker"
	"millrace/broker/brokertest"
)

const plainUsers = `org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="alice-secret" user_bob="bob\"s";`

// logText is what a log says, while it is written.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// secured starts a broker with a listener of its own for each security protocol, and returns
// their addresses by protocol. The log goes to said.
func secured(t *testing.T, said *logText, settings ...string) map[string]string {
	t.Helper()
	addresses := map[string]string{}
	options := []brokertest.Option{
		brokertest.WithSetting("listener.name.sasl_plaintext.plain.sasl.jaas.config", plainUsers),
		brokertest.WithSetting("listener.name.sasl_ssl.plain.sasl.jaas.config", plainUsers),
		brokertest.WithSetting("connection.failed.authentication.delay.ms", "1"),
		brokertest.WithLog(slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug}))),
	}
	for _, protocol := range []string{"PLAINTEXT", "SASL_PLAINTEXT", "SSL", "SASL_SSL"} {
		addresses[protocol] = brokertest.FreeAddr(t)
		options = append(options, brokertest.WithListen(protocol+"://"+addresses[protocol]))
	}
	for i := 0; i < len(settings); i += 2 {
		options = append(options, brokertest.WithSetting(settings[i], settings[i+1]))
	}
	brokertest.Start(t, options...)
	return addresses
}

// authority makes certificates; files are PEM.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  []byte
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.cert, a.key, a.pem = a.issue(pkix.Name{CommonName: "test authority"}, true)
	return a
}

func (a *authority) issue(name pkix.Name, ca bool) (*x509.Certificate, *ecdsa.PrivateKey, []byte) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: name, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IsCA: ca, BasicConstraintsValid: true,
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// keystore is a certificate with its key.
func (a *authority) keystore(name pkix.Name) []byte {
	a.t.Helper()
	_, key, cert := a.issue(name, false)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return append(cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
}

func (a *authority) file(name string, data []byte) string {
	a.t.Helper()
	path := filepath.Join(a.t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

// tlsSettings are those of a broker with a certificate of the authority.
func (a *authority) tlsSettings() []string {
	a.t.Helper()
	return []string{"ssl.keystore.location", a.file("broker.pem", a.keystore(pkix.Name{CommonName: "broker"}))}
}

func (a *authority) trusting(client ...tls.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool, Certificates: client, MinVersion: tls.VersionTLS12}
}

// roundTrip writes a record and reads it.
func roundTrip(t *testing.T, address string, options ...kgo.Opt) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	topic := strings.ToLower(strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())) + strconv.FormatInt(time.Now().UnixNano(), 36)
	c := client(t, address, append(options, kgo.AllowAutoTopicCreation(), kgo.ConsumeTopics(topic), kgo.DefaultProduceTopic(topic),
		kgo.RecordRetries(0), kgo.RequestRetries(0), kgo.UnknownTopicRetries(20))...)
	if err := c.Ping(ctx); err != nil {
		return err
	}
	if err := c.ProduceSync(ctx, kgo.SliceRecord(bytes.Repeat([]byte("x"), 100_000))).FirstErr(); err != nil {
		return err
	}
	fetches := c.PollRecords(ctx, 1)
	if err := fetches.Err(); err != nil || fetches.NumRecords() != 1 || len(fetches.Records()[0].Value) != 100_000 {
		return fmt.Errorf("read %d records, %w", fetches.NumRecords(), err)
	}
	return nil
}

func setScram(t *testing.T, address, user, password string) {
	t.Helper()
	admin := kadm.NewClient(client(t, address))
	for _, mechanism := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
		if _, err := admin.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: user, Mechanism: mechanism, Iterations: 4096, Password: password}}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSecurity_LogIn(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	var said logText
	at := secured(t, &said, a.tlsSettings()...)
	setScram(t, at["PLAINTEXT"], "carol", "carol-secret")
	good := map[string]sasl.Mechanism{
		"plain":         plain.Auth{User: "alice", Pass: "alice-secret"}.AsMechanism(),
		"plain, quotes": plain.Auth{User: "bob", Pass: `bob"s`}.AsMechanism(),
		"scram 256":     scram.Auth{User: "carol", Pass: "carol-secret"}.AsSha256Mechanism(),
		"scram 512":     scram.Auth{User: "carol", Pass: "carol-secret"}.AsSha512Mechanism(),
	}
	bad := map[string]sasl.Mechanism{
		"wrong password":       plain.Auth{User: "alice", Pass: "guessed"}.AsMechanism(),
		"unknown user":         plain.Auth{User: "mallory", Pass: "guessed"}.AsMechanism(),
		"another's id":         plain.Auth{Zid: "bob", User: "alice", Pass: "alice-secret"}.AsMechanism(),
		"wrong scram password": scram.Auth{User: "carol", Pass: "guessed"}.AsSha256Mechanism(),
		"unknown scram user":   scram.Auth{User: "mallory", Pass: "guessed"}.AsSha512Mechanism(),
	}
	for _, protocol := range []string{"SASL_PLAINTEXT", "SASL_SSL"} {
		var options []kgo.Opt
		if protocol == "SASL_SSL" {
			options = append(options, kgo.DialTLSConfig(a.trusting()))
		}
		for name, m := range good {
			if err := roundTrip(t, at[protocol], append(options, kgo.SASL(m))...); err != nil {
				t.Errorf("%s, %s: %v", protocol, name, err)
			}
		}
		for name, m := range bad {
			if err := roundTrip(t, at[protocol], append(options, kgo.SASL(m))...); !errors.Is(err, kerr.SaslAuthenticationFailed) {
				t.Errorf("%s, %s: got %v, want %v", protocol, name, err, kerr.SaslAuthenticationFailed)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if err := client(t, at[protocol], append(options, kgo.RequestRetries(0))...).Ping(ctx); err == nil {
			t.Errorf("%s: a client that does not log in is answered", protocol)
		}
		cancel()
	}
	if err := roundTrip(t, at["SSL"], kgo.DialTLSConfig(a.trusting())); err != nil {
		t.Errorf("SSL: %v", err)
	}
	if err := roundTrip(t, at["SSL"]); err == nil {
		t.Error("a client without TLS is answered on a listener with TLS")
	}
	if err := roundTrip(t, at["PLAINTEXT"], kgo.SASL(good["plain"])); err == nil {
		t.Error("a client that logs in is taken where nobody does: it could be anyone's broker")
	}
	configs, err := kadm.NewClient(client(t, at["PLAINTEXT"])).DescribeBrokerConfigs(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	users, err := configs.On("1", nil)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(users.Configs, func(c kadm.Config) bool { return c.Key == "listener.name.sasl_ssl.plain.sasl.jaas.config" })
	if i < 0 || !users.Configs[i].Sensitive || users.Configs[i].Value != nil {
		t.Errorf("the users of a listener are not described as a sensitive setting without a value (at %d)", i)
	}
	for _, secret := range []string{"alice-secret", "carol-secret", "guessed", "PRIVATE KEY"} {
		if strings.Contains(said.String(), secret) {
			t.Errorf("%q is in the log", secret)
		}
		for _, r := range configs {
			for _, c := range r.Configs {
				if strings.Contains(c.MaybeValue(), secret) {
					t.Errorf("%q is shown as the setting %s", secret, c.Key)
				}
			}
		}
	}
}

func TestSecurity_ClientCertificates(t *testing.T) {
	t.Parallel()
	a, stranger := newAuthority(t), newAuthority(t)
	var said logText
	at := secured(t, &said, append(a.tlsSettings(), "ssl.client.auth", "required", "ssl.truststore.location", a.file("trust.pem", a.pem),
		"ssl.principal.mapping.rules", "RULE:^CN=(.*?),OU=clerks$/$1/U,RULE:^CN=(.*?),OU=guests$/$1/", "listener.name.ssl.ssl.enabled.protocols", "TLSv1.2",
		"listener.name.ssl.ssl.cipher.suites", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
		"listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config", "org.apache.kafka.common.security.scram.ScramLoginModule required;")...)
	pair := func(of *authority) tls.Certificate {
		store := of.keystore(pkix.Name{CommonName: "carol", OrganizationalUnit: []string{"clerks"}})
		c, err := tls.X509KeyPair(store, store)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if err := roundTrip(t, at["SSL"], kgo.DialTLSConfig(a.trusting(pair(a)))); err != nil {
		t.Errorf("with a certificate: %v", err)
	}
	if err := roundTrip(t, at["SSL"], kgo.DialTLSConfig(a.trusting())); err == nil {
		t.Error("a client without a certificate is answered")
	}
	if err := roundTrip(t, at["SSL"], kgo.DialTLSConfig(a.trusting(pair(stranger)))); err == nil {
		t.Error("a client with a stranger's certificate is answered")
	}
	// Nobody is let in whom no rule names, and nobody by another version or suite of TLS.
	store := a.keystore(pkix.Name{CommonName: "mallory", OrganizationalUnit: []string{"clerks, guests"}})
	mallory, err := tls.X509KeyPair(store, store)
	if err != nil {
		t.Fatal(err)
	}
	if err := roundTrip(t, at["SSL"], kgo.DialTLSConfig(a.trusting(mallory))); err == nil {
		t.Error("a client whose name no rule matches is answered")
	}
	for what, change := range map[string]func(*tls.Config){
		"TLS 1.3":       func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 },
		"another suite": func(c *tls.Config) { c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256} },
	} {
		c := a.trusting(pair(a))
		change(c)
		if err := roundTrip(t, at["SSL"], kgo.DialTLSConfig(c)); err == nil {
			t.Errorf("a client with %s is answered", what)
		}
	}
	// Where clients log in by SASL, certificates are asked for only if the listener itself says so (KIP-684).
	alice := kgo.SASL(plain.Auth{User: "alice", Pass: "alice-secret"}.AsMechanism())
	if err := roundTrip(t, at["SASL_SSL"], kgo.DialTLSConfig(a.trusting()), alice); err != nil {
		t.Errorf("log-in without a certificate: %v", err)
	}
}

// raw speaks the protocol step by step.
type raw struct {
	t *testing.T
	net.Conn
}

func dialRaw(t *testing.T, address string) *raw {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &raw{t, c}
}

// ask sends a request and returns the answer; nil: the connection was closed.
func (r *raw) ask(req kmsg.Request, version int16) kmsg.Response {
	r.t.Helper()
	req.SetVersion(version)
	if _, err := r.Write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("raw")).AppendRequest(nil, req, 1)); err != nil {
		return nil
	}
	body := r.frame()
	if len(body) < 4 {
		return nil
	}
	resp := req.ResponseKind()
	body = body[4:]
	if resp.IsFlexible() {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		r.t.Fatalf("%T: %v", resp, err)
	}
	return resp
}

// frame reads a length and what it announces.
func (r *raw) frame() []byte {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil
	}
	body := make([]byte, int(head[0])<<24|int(head[1])<<16|int(head[2])<<8|int(head[3]))
	if _, err := io.ReadFull(r, body); err != nil {
		return nil
	}
	return body
}

func handshake(mechanism string) *kmsg.SASLHandshakeRequest {
	req := kmsg.NewPtrSASLHandshakeRequest()
	req.Mechanism = mechanism
	return req
}

func token(s string) *kmsg.SASLAuthenticateRequest {
	req := kmsg.NewPtrSASLAuthenticateRequest()
	req.SASLAuthBytes = []byte(s)
	return req
}

const aliceToken = "\x00alice\x00alice-secret"

func TestSecurity_Order(t *testing.T) {
	t.Parallel()
	var said logText
	at := secured(t, &said, newAuthority(t).tlsSettings()...)
	address := at["SASL_PLAINTEXT"]
	closed := func(name string, r kmsg.Response) {
		t.Helper()
		if r != nil {
			t.Errorf("%s: answered with %+v, want a closed connection", name, r)
		}
	}
	closed("Metadata first", dialRaw(t, address).ask(kmsg.NewPtrMetadataRequest(), 9))
	closed("SaslAuthenticate first", dialRaw(t, address).ask(token(aliceToken), 2))

	r := dialRaw(t, address)
	if r.ask(kmsg.NewPtrApiVersionsRequest(), 0) == nil {
		t.Error("ApiVersions is not answered before the log-in")
	}
	if got := r.ask(handshake("PLAIN"), 1).(*kmsg.SASLHandshakeResponse); got.ErrorCode != 0 || len(got.SupportedMechanisms) != 3 {
		t.Errorf("handshake: %+v", got)
	}
	if got, ok := r.ask(kmsg.NewPtrApiVersionsRequest(), 0).(*kmsg.ApiVersionsResponse); !ok || got.ErrorCode != kerr.IllegalSaslState.Code {
		t.Errorf("ApiVersions between: %+v", got)
	}
	closed("after ApiVersions between", r.ask(token(aliceToken), 1))
	r = dialRaw(t, address)
	r.ask(handshake("PLAIN"), 1)
	if got, ok := r.ask(handshake("PLAIN"), 1).(*kmsg.SASLHandshakeResponse); !ok || got.ErrorCode != kerr.IllegalSaslState.Code {
		t.Errorf("SaslHandshake twice: %+v", got)
	}
	closed("after SaslHandshake twice", r.ask(token(aliceToken), 1))
	r = dialRaw(t, address)
	r.ask(kmsg.NewPtrApiVersionsRequest(), 0)
	closed("ApiVersions twice", r.ask(kmsg.NewPtrApiVersionsRequest(), 0))

	r = dialRaw(t, address)
	if got := r.ask(handshake("GSSAPI"), 1).(*kmsg.SASLHandshakeResponse); got.ErrorCode != kerr.UnsupportedSaslMechanism.Code || len(got.SupportedMechanisms) != 3 {
		t.Errorf("unknown mechanism: %+v", got)
	}
	closed("after an unknown mechanism", r.ask(handshake("PLAIN"), 1))

	r = dialRaw(t, address)
	r.ask(handshake("PLAIN"), 1)
	if got := r.ask(token("\x00alice\x00guessed"), 2).(*kmsg.SASLAuthenticateResponse); got.ErrorCode != kerr.SaslAuthenticationFailed.Code || *got.ErrorMessage != "Authentication failed: Invalid username or password" {
		t.Errorf("wrong password: %+v", got)
	}
	closed("after a wrong password", r.ask(handshake("PLAIN"), 1))

	r = dialRaw(t, address)
	r.ask(handshake("PLAIN"), 1)
	if got := r.ask(token(aliceToken), 2).(*kmsg.SASLAuthenticateResponse); got.ErrorCode != 0 || got.SessionLifetimeMillis != 0 {
		t.Errorf("log-in: %+v", got)
	}
	for name, resp := range map[string]kmsg.Response{"handshake": r.ask(handshake("PLAIN"), 1), "token": r.ask(token(aliceToken), 2)} {
		var code int16
		switch resp := resp.(type) {
		case *kmsg.SASLHandshakeResponse:
			code = resp.ErrorCode
		case *kmsg.SASLAuthenticateResponse:
			code = resp.ErrorCode
		}
		if code != kerr.IllegalSaslState.Code {
			t.Errorf("%s after the log-in: %+v", name, resp)
		}
	}
	if got := dialRaw(t, at["PLAINTEXT"]).ask(handshake("PLAIN"), 1).(*kmsg.SASLHandshakeResponse); got.ErrorCode != kerr.IllegalSaslState.Code {
		t.Errorf("handshake on a listener without SASL: %+v", got)
	}

	// Handshake version 0: tokens without requests around them.
	r = dialRaw(t, address)
	r.ask(handshake("PLAIN"), 0)
	if _, err := r.Write(append([]byte{0, 0, 0, byte(len(aliceToken))}, aliceToken...)); err != nil {
		t.Fatal(err)
	}
	if got := r.frame(); got == nil || len(got) != 0 {
		t.Errorf("raw token: %q", got)
	}
	if r.ask(kmsg.NewPtrMetadataRequest(), 9) == nil {
		t.Error("not logged in by a raw token")
	}
	r = dialRaw(t, address)
	r.ask(handshake("PLAIN"), 0)
	if _, err := r.Write([]byte{0x7f, 0xff, 0xff, 0xff}); err != nil {
		t.Fatal(err)
	}
	if got := r.frame(); got != nil {
		t.Errorf("a raw token of 2 GB: %q", got)
	}
	r = dialRaw(t, address)
	if _, err := r.Write([]byte{0, 0x09, 0, 0, 0, 18, 0, 3, 0, 0, 0, 1}); err != nil {
		t.Fatal(err)
	}
	if got := r.frame(); got != nil {
		t.Errorf("a request of 590 kB before the log-in: %q", got)
	}
}

func TestSecurity_LogInAgain(t *testing.T) {
	t.Parallel()
	var said logText
	at := secured(t, &said, append(newAuthority(t).tlsSettings(), "connections.max.reauth.ms", "3600000",
		"listener.name.sasl_ssl.connections.max.reauth.ms", "1")...)
	r := dialRaw(t, at["SASL_PLAINTEXT"])
	for range 3 {
		r.ask(handshake("PLAIN"), 1)
		if got := r.ask(token(aliceToken), 2).(*kmsg.SASLAuthenticateResponse); got.ErrorCode != 0 || got.SessionLifetimeMillis < 3_500_000 || got.SessionLifetimeMillis > 3_600_000 {
			t.Fatalf("log-in: %+v", got)
		}
		if r.ask(kmsg.NewPtrMetadataRequest(), 9) == nil {
			t.Fatal("closed after the log-in")
		}
	}
	r.ask(handshake("PLAIN"), 1)
	if got := r.ask(token("\x00bob\x00bob\"s"), 2).(*kmsg.SASLAuthenticateResponse); got.ErrorCode != kerr.SaslAuthenticationFailed.Code || !strings.Contains(*got.ErrorMessage, "Cannot change principals") {
		t.Errorf("as somebody else: %+v", got)
	}
	// Another mechanism is answered and then refused, one that is not enabled is not answered: as in Kafka.
	for mechanism, answered := range map[string]bool{"SCRAM-SHA-256": true, "GSSAPI": false} {
		r = dialRaw(t, at["SASL_PLAINTEXT"])
		r.ask(handshake("PLAIN"), 1)
		r.ask(token(aliceToken), 2)
		if got := r.ask(handshake(mechanism), 1); (got != nil) != answered {
			t.Errorf("again by %s: %+v", mechanism, got)
		}
		if got := r.ask(token(aliceToken), 2); got != nil {
			t.Errorf("again by %s: the connection goes on with %+v", mechanism, got)
		}
	}
	// A client that does log in again goes on, whatever the time is.
	a := newAuthority(t)
	at = secured(t, &said, append(a.tlsSettings(), "connections.max.reauth.ms", "1500")...)
	c := client(t, at["SASL_PLAINTEXT"], kgo.SASL(plain.Auth{User: "alice", Pass: "alice-secret"}.AsMechanism()))
	until := time.Now().Add(2 * time.Second)
	for time.Now().Before(until) {
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSecurity_BadSettings(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	junk := a.file("junk.pem", []byte("not PEM"))
	encrypted := a.file("encrypted.pem", pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}))
	for _, c := range []struct{ listener, name, value, want string }{
		{"PLAINTEXT", "authorizer.class.name", "com.example.Mine", "StandardAuthorizer"},
		{"PLAINTEXT", "super.users", "admin", "User:name"},
		{"SSL", "ssl.client.auth", "none", "ssl.keystore.location"},
		{"SSL", "ssl.keystore.location", "/nowhere.pem", "/nowhere.pem"},
		{"SSL", "ssl.keystore.location", junk, "not PEM"},
		{"SSL", "ssl.keystore.location", encrypted, "encrypted"},
		{"SSL", "ssl.keystore.type", "JKS", "keytool"},
		{"SSL", "ssl.enabled.protocols", "TLSv1.1", "TLSv1.2"},
		{"SSL", "ssl.enabled.protocols", "", "one at least"},
		{"SSL", "ssl.cipher.suites", "TLS_RSA_WITH_RC4_128_SHA", "TLS_ECDHE_ECDSA"},
		{"SSL", "ssl.principal.mapping.rules", "RULE:(?=a)/b/", "DEFAULT"},
		{"SASL_PLAINTEXT", "listener.name.sasl_plaintext.scram-sha-512.sasl.jaas.config", plainUsers, "ScramLoginModule"},
		{"SSL", "ssl.client.auth", "maybe", "required, requested, none"},
		{"SASL_PLAINTEXT", "sasl.enabled.mechanisms", "GSSAPI", "SCRAM-SHA-512"},
		{"SASL_PLAINTEXT", "listener.name.sasl_plaintext.plain.sasl.jaas.config", "com.example.Module required user_a=\"topsecret\";", "PlainLoginModule"},
		{"SASL_PLAINTEXT", "listener.name.sasl_plaintext.plain.sasl.jaas.config", strings.TrimSuffix(plainUsers, ";"), "semicolon"},
		{"SASL_PLAINTEXT", "listener.name.sasl_plaintext.sasl.enabled.mechanism", "PLAIN", "listener.name.sasl_plaintext.sasl.enabled.mechanism"},
	} {
		cfg := config(t)
		cfg.Listen[0].Name = c.listener
		cfg.Settings = map[string]string{c.name: c.value}
		b, err := broker.Open(t.Context(), cfg)
		if err == nil {
			_ = b.Close()
			t.Errorf("%s=%s is taken", c.name, c.value)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "topsecret") || strings.Contains(err.Error(), "alice-secret") {
			t.Errorf("%s=%s: %v; want it to name %s, and no password", c.name, c.value, err, c.want)
		}
	}
}

// A listener has its own limit of connections, and leaves the others alone.
func TestSecurity_ConnectionsOfAListener(t *testing.T) {
	t.Parallel()
	var said logText
	at := secured(t, &said, append(newAuthority(t).tlsSettings(), "listener.name.sasl_plaintext.max.connections", "1")...)
	first := dialRaw(t, at["SASL_PLAINTEXT"])
	if first.ask(kmsg.NewPtrApiVersionsRequest(), 0) == nil {
		t.Fatal("the first connection is not served")
	}
	if got := dialRaw(t, at["SASL_PLAINTEXT"]).ask(kmsg.NewPtrApiVersionsRequest(), 0); got != nil {
		t.Error("a second connection is served")
	}
	if dialRaw(t, at["PLAINTEXT"]).ask(kmsg.NewPtrApiVersionsRequest(), 0) == nil {
		t.Error("another listener is full too")
	}
	_ = first.Close()
	for end := time.Now().Add(20 * time.Second); dialRaw(t, at["SASL_PLAINTEXT"]).ask(kmsg.NewPtrApiVersionsRequest(), 0) == nil; {
		if time.Now().After(end) {
			t.Fatal("the place of a closed connection is not given to another")
		}
	}
}

// SCRAM users are described, changed and taken back, and are there after a restart.
func TestSecurity_ScramUsers(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	admin := kadm.NewClient(client(t, b.Addr))
	ctx := t.Context()
	change := func(del []kadm.DeleteSCRAM, set []kadm.UpsertSCRAM) kadm.AlteredUserSCRAMs {
		t.Helper()
		got, err := admin.AlterUserSCRAMs(ctx, del, set)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	good := kadm.UpsertSCRAM{User: "dave", Mechanism: kadm.ScramSha256, Iterations: 4096, Password: "x"}
	nobody := good
	nobody.User = ""
	for name, c := range map[string]struct {
		del  []kadm.DeleteSCRAM
		set  []kadm.UpsertSCRAM
		want error
	}{
		"no name":   {nil, []kadm.UpsertSCRAM{nobody}, kerr.UnacceptableCredential},
		"twice":     {nil, []kadm.UpsertSCRAM{good, good}, kerr.DuplicateResource},
		"not there": {[]kadm.DeleteSCRAM{{User: "dave", Mechanism: kadm.ScramSha512}}, nil, kerr.ResourceNotFound},
	} {
		for _, got := range change(c.del, c.set) {
			if !errors.Is(got.Err, c.want) {
				t.Errorf("%s: got %v %s, want %v", name, got.Err, got.ErrMessage, c.want)
			}
		}
	}
	if described, err := admin.DescribeUserSCRAMs(ctx); err != nil || len(described) != 0 {
		t.Errorf("after refusals: %v, %v", described, err)
	}
	change(nil, []kadm.UpsertSCRAM{good})
	b.Restart()
	described, err := admin.DescribeUserSCRAMs(ctx, "dave", "nobody")
	if err != nil || len(described["dave"].CredInfos) != 1 || described["dave"].CredInfos[0].Iterations != 4096 || !errors.Is(described["nobody"].Err, kerr.ResourceNotFound) {
		t.Errorf("described: %+v, %v", described, err)
	}
	change([]kadm.DeleteSCRAM{{User: "dave", Mechanism: kadm.ScramSha256}}, nil)
	if described, err := admin.DescribeUserSCRAMs(ctx); err != nil || len(described) != 0 {
		t.Errorf("after it was taken back: %v, %v", described, err)
	}
}

// Without an authorizer there are no ACLs, and nobody is told that there were.
func TestSecurity_NoAuthorizer(t *testing.T) {
	t.Parallel()
	admin := kadm.NewClient(client(t, brokertest.Start(t).Addr))
	acl := kadm.NewACLs().Topics("orders").Allow("User:alice").AllowHosts("*").Operations(kadm.OpRead).ResourcePatternType(kadm.ACLPatternLiteral)
	if created, err := admin.CreateACLs(t.Context(), acl); err != nil || len(created) != 1 || !errors.Is(created[0].Err, kerr.SecurityDisabled) {
		t.Errorf("created: %+v, %v", created, err)
	}
	if deleted, err := admin.DeleteACLs(t.Context(), acl); err != nil || len(deleted) != 1 || !errors.Is(deleted[0].Err, kerr.SecurityDisabled) {
		t.Errorf("deleted: %+v, %v", deleted, err)
	}
	if described, err := admin.DescribeACLs(t.Context(), acl); err != nil || len(described) != 1 || !errors.Is(described[0].Err, kerr.SecurityDisabled) {
		t.Errorf("described: %+v, %v", described, err)
	}
}
