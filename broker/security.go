package broker

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/config"
	"millrace/broker/internal/principal"
	"millrace/broker/internal/sasl"
	"millrace/broker/internal/server"
)

// secure gives a listener what its security protocol asks for. Errors name the setting,
// and never repeat a key or a password.
func secure(l *server.Listener, b *config.Broker) (err error) {
	protocol := b.Protocol(l.Name)
	if strings.HasSuffix(protocol, "SSL") {
		if l.TLS, err = tlsOf(b, l.Name); err != nil {
			return fmt.Errorf("listener %s with %s: %w", l.Name, protocol, err)
		}
		rules, _ := b.OfListener(l.Name, "ssl.principal.mapping.rules")
		if l.Names, err = principal.ParseRules(rules); err != nil {
			return err
		}
	}
	if strings.HasPrefix(protocol, "SASL_") {
		if l.SASL, err = saslOf(b, l.Name); err != nil {
			return fmt.Errorf("listener %s with %s: %w", l.Name, protocol, err)
		}
	}
	return nil
}

// authorizerOf is authorizer.class.name and what goes with it; nil where there is none.
func authorizerOf(b *config.Broker) *acl.Authorizer {
	if b.AuthorizerClassName == "" {
		return nil
	}
	return acl.NewAuthorizer(config.SplitSuperUsers(b.SuperUsers), b.AllowEveryoneIfNoACLFound)
}

func saslOf(b *config.Broker, listener string) (*server.SASL, error) {
	number := func(setting string) int64 {
		text, _ := b.OfListener(listener, setting)
		n, _ := strconv.ParseInt(strings.TrimSpace(text), 10, 64) // checked when it was set
		return n
	}
	enabled, _ := b.OfListener(listener, "sasl.enabled.mechanisms")
	out := &server.SASL{
		MaxReceive:   int32(number("sasl.server.max.receive.size")),
		Session:      time.Duration(number("connections.max.reauth.ms")) * time.Millisecond,
		FailureDelay: time.Duration(number("connection.failed.authentication.delay.ms")) * time.Millisecond,
	}
	for m := range strings.SplitSeq(enabled, ",") {
		out.Mechanisms = append(out.Mechanisms, strings.TrimSpace(m))
	}
	if line, ok := b.OfListener(listener, "plain.sasl.jaas.config"); ok {
		users, err := config.ParsePlainUsers(line)
		if err != nil {
			return nil, err
		}
		out.Users = sasl.Passwords(users)
	}
	return out, nil
}

func tlsOf(b *config.Broker, listener string) (*tls.Config, error) {
	store, err := pemOf(b, listener, "ssl.keystore.location", "ssl.keystore.key", "ssl.keystore.certificate.chain")
	if err != nil {
		return nil, err
	}
	if store == nil {
		return nil, errors.New("needs ssl.keystore.location, a PEM file with the private key and its certificates")
	}
	certificate, err := tls.X509KeyPair(store, store)
	if err != nil {
		return nil, fmt.Errorf("ssl.keystore: %w", err)
	}
	out := &tls.Config{MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
	versions, _ := b.OfListener(listener, "ssl.enabled.protocols")
	for v := range strings.SplitSeq(versions, ",") {
		version := map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}[strings.TrimSpace(v)]
		out.MinVersion, out.MaxVersion = min(out.MinVersion, version), max(out.MaxVersion, version)
	}
	ciphers, _ := b.OfListener(listener, "ssl.cipher.suites")
	for _, suite := range tls.CipherSuites() {
		for name := range strings.SplitSeq(ciphers, ",") {
			if strings.TrimSpace(name) == suite.Name {
				out.CipherSuites = append(out.CipherSuites, suite.ID)
			}
		}
	}
	auth, _ := b.OfListener(listener, "ssl.client.auth")
	if strings.HasPrefix(b.Protocol(listener), "SASL_") {
		// Clients say who they are by SASL; as in Kafka they show a certificate only where the listener
		// itself is set so (KIP-684).
		if auth, _ = b.OnlyOfListener(listener, "ssl.client.auth"); auth == "" {
			auth = "none"
		}
	}
	out.ClientAuth = map[string]tls.ClientAuthType{
		"required": tls.RequireAndVerifyClientCert, "requested": tls.VerifyClientCertIfGiven, "none": tls.NoClientCert,
	}[auth]
	trusted, err := pemOf(b, listener, "ssl.truststore.location", "ssl.truststore.certificates")
	if err != nil {
		return nil, err
	}
	if trusted != nil {
		out.ClientCAs = x509.NewCertPool()
		if !out.ClientCAs.AppendCertsFromPEM(trusted) {
			return nil, errors.New("ssl.truststore has no certificate in PEM")
		}
	} else if out.ClientAuth != tls.NoClientCert {
		return nil, fmt.Errorf("ssl.client.auth=%s needs ssl.truststore.location, a PEM file with the certificates that vouch for clients", auth)
	}
	return out, nil
}

// pemOf is the content of a file, or of the settings that hold PEM themselves; nil where nothing is set.
func pemOf(b *config.Broker, listener, location string, inline ...string) ([]byte, error) {
	var out bytes.Buffer
	for _, setting := range inline {
		if text, ok := b.OfListener(listener, setting); ok {
			// In a properties file PEM stands in one line, with \n in it or blanks.
			out.WriteString(strings.ReplaceAll(text, `\n`, "\n"))
			out.WriteByte('\n')
		}
	}
	if path, ok := b.OfListener(listener, location); ok {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", location, err)
		}
		out.Write(data)
	}
	if out.Len() == 0 {
		return nil, nil
	}
	if block, _ := pem.Decode(out.Bytes()); block == nil {
		return nil, fmt.Errorf("%s is not PEM", cmp.Or(location, inline[0]))
	} else if strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "" {
		return nil, fmt.Errorf("%s: the key is encrypted, which this broker does not read; take the password away with openssl pkey, and keep the file to its owner", location)
	}
	return out.Bytes(), nil
}
