package config

import (
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"millrace/broker/internal/principal"
)

// securityDefs say how clients prove who they are. Each may also stand for one listener alone:
// listener.name.NAME.SETTING.
var securityDefs = []Def{
	{Name: "allow.everyone.if.no.acl.found", Type: Boolean, Default: "false", Hidden: true,
		Doc:  "Whether all may use what no ACL is about.",
		bind: func(b *Broker) any { return &b.AllowEveryoneIfNoACLFound }},
	{Name: "authorizer.class.name", Type: String, Default: "", rule: text("nothing, or "+StandardAuthorizer, "this broker has no other", func(s string) bool { return s == "" || s == StandardAuthorizer }),
		Doc:  "Who decides what clients may do: nobody, so that whoever is let in may do everything, or " + StandardAuthorizer + ", by ACLs.",
		bind: func(b *Broker) any { return &b.AuthorizerClassName }},
	{Name: "connection.failed.authentication.delay.ms", Type: Int, Default: "100", rule: atLeast(0),
		Doc: "How long a client whose log-in failed waits for the answer, so that guessing is slow."},
	{Name: "connections.max.reauth.ms", Type: Long, Default: "0", PerListener: true,
		Doc: "After how long a client that has logged in by SASL must do so again (KIP-368); 0 is never."},
	{Name: "sasl.enabled.mechanisms", Type: List, Default: "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512", PerListener: true, rule: mechanisms(),
		Doc: "Which SASL mechanisms a listener offers. Kafka's default is GSSAPI, which this broker does not have."},
	{Name: "sasl.jaas.config", Type: Password, Null: true, PerListener: true, rule: jaas(),
		Doc: "The users of PLAIN, only as listener.name.NAME.plain.sasl.jaas.config: " + plainModule + ` required user_NAME="PASSWORD"; with one user_NAME for each.`},
	{Name: "sasl.server.max.receive.size", Type: Int, Default: "524288", rule: atLeast(1),
		Doc: "The largest request of a client that has not logged in yet."},
	{Name: "ssl.client.auth", Type: String, Default: "none", PerListener: true, rule: oneOf("required", "requested", "none"),
		Doc: "Whether clients of a listener with TLS must show a certificate that the truststore vouches for."},
	{Name: "ssl.cipher.suites", Type: List, PerListener: true, rule: cipherSuites(),
		Doc: "The cipher suites of TLS 1.2, by their names in RFCs; empty is all that are safe. Those of TLS 1.3 are all there always."},
	{Name: "ssl.enabled.protocols", Type: List, Default: "TLSv1.2,TLSv1.3", PerListener: true, rule: tlsVersions(),
		Doc: "The versions of TLS that are spoken."},
	{Name: "ssl.keystore.certificate.chain", Type: Password, Null: true, PerListener: true,
		Doc: "The broker's certificate and those above it, PEM."},
	{Name: "ssl.keystore.key", Type: Password, Null: true, PerListener: true,
		Doc: "The certificate's private key, PEM, not encrypted."},
	{Name: "ssl.keystore.location", Type: String, Null: true, PerListener: true,
		Doc: "A PEM file with the private key and the certificates, instead of the two settings above."},
	{Name: "ssl.keystore.type", Type: String, Default: "PEM", PerListener: true, rule: pemOnly(),
		Doc: "The form of the keystore. Kafka's default is JKS; this broker reads PEM."},
	{Name: "ssl.principal.mapping.rules", Type: String, Default: "DEFAULT", PerListener: true, rule: mappingRules(),
		Doc: "What makes a principal of the name in a client's certificate: DEFAULT takes it as it is; the first rule that matches counts, and a name that none matches is turned away. Patterns are Go's."},
	{Name: "super.users", Type: String, Default: "", Hidden: true, rule: superUsers(),
		Doc:  "Who may do everything whatever the ACLs say: principals with semicolons between, as User:admin;User:backup. Without one nobody can make the first ACL.",
		bind: func(b *Broker) any { return &b.SuperUsers }},
	{Name: "ssl.truststore.certificates", Type: Password, Null: true, PerListener: true,
		Doc: "The certificates that vouch for clients, PEM."},
	{Name: "ssl.truststore.location", Type: String, Null: true, PerListener: true,
		Doc: "A PEM file with them."},
	{Name: "ssl.truststore.type", Type: String, Default: "PEM", PerListener: true, rule: pemOnly(),
		Doc: "The form of the truststore, PEM."},
}

// StandardAuthorizer is the name of Kafka's own authorizer, whose rules package acl has.
const StandardAuthorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"

func superUsers() rule {
	return text("principals with semicolons between", "each has the form User:name", func(s string) bool {
		for _, p := range SplitSuperUsers(s) {
			if kind, name, ok := strings.Cut(p, ":"); !ok || kind == "" || name == "" {
				return false
			}
		}
		return true
	})
}

// SplitSuperUsers takes super.users apart.
func SplitSuperUsers(s string) (out []string) {
	for p := range strings.SplitSeq(s, ";") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

func pemOnly() rule {
	return text("PEM", "this broker reads PEM; convert with: keytool -importkeystore … -deststoretype PKCS12, then openssl pkcs12 -nodes", func(s string) bool { return s == "PEM" })
}

func mechanisms() rule {
	known := []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}
	return rule{"of " + strings.Join(known, ", "), func(v any) string {
		for _, m := range v.([]string) {
			if !slices.Contains(known, m) {
				return fmt.Sprintf("%q is not one of %s", m, strings.Join(known, ", "))
			}
		}
		return ""
	}}
}

func mappingRules() rule {
	return rule{"DEFAULT and RULE:PATTERN/REPLACEMENT/[L|U], with commas between", func(v any) string {
		if _, err := principal.ParseRules(v.(string)); err != nil {
			return err.Error()
		}
		return ""
	}}
}

func tlsVersions() rule {
	r := listOf("TLSv1.2", "TLSv1.3")
	return rule{r.allowed, func(v any) string {
		if len(v.([]string)) == 0 {
			return "there must be one at least"
		}
		return r.check(v)
	}}
}

func cipherSuites() rule {
	var names []string
	for _, suite := range tls.CipherSuites() {
		names = append(names, suite.Name)
	}
	return listOf(names...)
}

const plainModule = "org.apache.kafka.common.security.plain.PlainLoginModule"

// jaasOption is NAME="VALUE"; a quote or backslash within is escaped.
var jaasOption = regexp.MustCompile(`^\s*([^\s="]+)\s*=\s*"((?:[^"\\]|\\.)*)"`)

// jaasEscaped is a character with a backslash before it.
var jaasEscaped = regexp.MustCompile(`\\(.)`)

// ParsePlainUsers reads the one form of JAAS configuration that a broker without Java can
// mean: the users of PLAIN. Its errors do not repeat the text, which has passwords.
func ParsePlainUsers(s string) (map[string]string, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(s), plainModule)
	if !ok {
		return nil, fmt.Errorf("only %s is known here", plainModule)
	}
	if rest, ok = strings.CutPrefix(strings.TrimSpace(rest), "required"); !ok {
		return nil, errors.New(`the module's name is followed by "required"`)
	}
	users := map[string]string{}
	for {
		m := jaasOption.FindStringSubmatch(rest)
		if m == nil {
			break
		}
		rest = rest[len(m[0]):]
		if user, ok := strings.CutPrefix(m[1], "user_"); ok && user != "" {
			users[user] = jaasEscaped.ReplaceAllString(m[2], "$1")
		}
	}
	if strings.TrimSpace(rest) != ";" {
		return nil, errors.New(`users are written user_NAME="PASSWORD", and a semicolon ends the line`)
	}
	return users, nil
}

func jaas() rule {
	return rule{plainModule + ` required user_NAME="PASSWORD";`, func(v any) string {
		if _, err := ParsePlainUsers(v.(string)); err != nil {
			return err.Error()
		}
		return ""
	}}
}

// scramJaas takes the line that a Kafka has for SCRAM. It names the module; users are in the metadata.
func scramJaas() rule {
	const module = "org.apache.kafka.common.security.scram.ScramLoginModule"
	return text(module+" required;", "only "+module+" required …; is known here", func(s string) bool {
		s, ok := strings.CutPrefix(strings.TrimSpace(s), module)
		return ok && strings.HasPrefix(strings.TrimSpace(s), "required") && strings.HasSuffix(s, ";")
	})
}

// listenerSetting finds the setting that a name of the form listener.name.NAME.SETTING is about; nil: none. SASL
// settings may have a mechanism before them: listener.name.NAME.plain.sasl.jaas.config.
func listenerSetting(name string) *Def {
	rest, ok := strings.CutPrefix(name, "listener.name.")
	if !ok {
		return nil
	}
	listener, setting, ok := strings.Cut(rest, ".")
	if !ok || listener == "" {
		return nil
	}
	for _, prefix := range []string{"plain.", "scram-sha-256.", "scram-sha-512."} {
		if s, ok := strings.CutPrefix(setting, prefix); ok && strings.HasPrefix(s, "sasl.") {
			setting = s
			break
		}
	}
	base := byName[BrokerLevel][setting]
	if base == nil || !base.PerListener {
		return nil
	}
	d := *base
	d.Name = name
	if before, isJaas := strings.CutSuffix(name, ".sasl.jaas.config"); isJaas && (strings.HasSuffix(before, ".scram-sha-256") || strings.HasSuffix(before, ".scram-sha-512")) {
		d.rule = scramJaas()
	}
	return &d
}

// OfListener is a security setting as it holds for one listener; ok is false where it is
// not set and has no default.
func (b *Broker) OfListener(listener, setting string) (value string, ok bool) {
	if value, ok = b.OnlyOfListener(listener, setting); ok {
		return value, true
	}
	d := byName[BrokerLevel][setting]
	if d == nil { // with a mechanism before it
		return "", false
	}
	return b.value(d)
}

// OnlyOfListener is a setting as it is given for one listener.
func (b *Broker) OnlyOfListener(listener, setting string) (value string, ok bool) {
	v, ok := b.set("listener.name." + strings.ToLower(listener) + "." + setting)
	return v.Value, ok
}

// Protocol is the security protocol of a listener's name: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
func (b *Broker) Protocol(listener string) string {
	for _, pair := range splitList(b.protocols) {
		if name, protocol, _ := strings.Cut(pair, ":"); strings.EqualFold(name, listener) {
			return protocol
		}
	}
	return "PLAINTEXT"
}
