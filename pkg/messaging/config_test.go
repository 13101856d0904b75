package messaging_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/caarlos0/env/v11"

	"millrace/pkg/messaging"
)

func parse(t *testing.T, environment map[string]string) messaging.Config {
	t.Helper()
	c, err := env.ParseAsWithOptions[messaging.Config](env.Options{Environment: environment})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfig_Environment(t *testing.T) {
	c := parse(t, map[string]string{
		"KAFKA_BROKERS": "a:9092,b:9094", "KAFKA_CLIENT_ID": "me", "KAFKA_VERSION": "2.8.0", "KAFKA_TLS_ENABLED": "true",
		"KAFKA_TLS_SERVER_NAME": "broker", "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512", "KAFKA_SASL_USERNAME": "u",
		"KAFKA_SASL_PASSWORD": "p", "TRACE_CONSUMER": "link", "CONSUMER_SESSION_TIMEOUT": "6s",
	})
	s, err := c.Sarama()
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Brokers) != 2 || s.ClientID != "me" || s.Version != sarama.V2_8_0_0 || !s.Net.TLS.Enable || s.Net.TLS.Config.ServerName != "broker" ||
		s.Net.SASL.Mechanism != sarama.SASLTypeSCRAMSHA512 || s.Net.SASL.User != "u" || s.Net.SASL.Password != "p" || c.Trace != messaging.LinkOnly ||
		s.Consumer.Group.Session.Timeout != 6*time.Second {
		t.Errorf("got %+v", c)
	}
}

func TestConfig_SafeDefaults(t *testing.T) {
	c := parse(t, nil)
	if d := messaging.DefaultConfig(); d.Brokers[0] != c.Brokers[0] || d.Version != c.Version || d.Trace != c.Trace || d.SessionTimeout != c.SessionTimeout {
		t.Errorf("an empty environment gives %+v, DefaultConfig %+v", c, d)
	}
	s, err := c.Sarama()
	if err != nil {
		t.Fatal(err)
	}
	if s.Producer.RequiredAcks != sarama.WaitForAll || !s.Producer.Idempotent || s.Net.MaxOpenRequests != 1 ||
		s.Consumer.Offsets.Initial != sarama.OffsetOldest || !s.Consumer.Return.Errors || !s.Version.IsAtLeast(sarama.V2_8_0_0) {
		t.Errorf("got %+v", s)
	}
}

func TestConfig_ValidateNamesTheVariable(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(bad, []byte("no pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		environment map[string]string
		want        string
	}{
		{map[string]string{"KAFKA_BROKERS": "localhost"}, `KAFKA_BROKERS holds "localhost", want host:port`},
		{map[string]string{"KAFKA_BROKERS": "a:1,:2"}, `KAFKA_BROKERS holds ":2"`},
		{map[string]string{"KAFKA_BROKERS": "a:70000"}, `KAFKA_BROKERS holds "a:70000"`},
		{map[string]string{"CONSUMER_SESSION_TIMEOUT": "1s"}, `CONSUMER_SESSION_TIMEOUT is "1s", want a duration from 3s to 5m0s`},
		{map[string]string{"CONSUMER_SESSION_TIMEOUT": "-1s"}, `CONSUMER_SESSION_TIMEOUT is "-1s"`},
		{map[string]string{"KAFKA_VERSION": "new"}, `KAFKA_VERSION is "new"`},
		{map[string]string{"KAFKA_VERSION": "0.9.0.1"}, `KAFKA_VERSION is "0.9.0.1", want a Kafka release from 2.1.0`},
		{map[string]string{"KAFKA_SASL_MECHANISM": "GSSAPI"}, `KAFKA_SASL_MECHANISM is "GSSAPI", want PLAIN`},
		{map[string]string{"KAFKA_SASL_MECHANISM": "PLAIN"}, `KAFKA_SASL_USERNAME`},
		{map[string]string{"KAFKA_TLS_CERT_FILE": "x"}, `KAFKA_TLS_KEY_FILE`},
		{map[string]string{"KAFKA_TLS_ENABLED": "true", "KAFKA_TLS_CA_FILE": bad}, `holds no PEM certificate`},
		{map[string]string{"KAFKA_TLS_ENABLED": "true", "KAFKA_TLS_CA_FILE": bad + ".not"}, `KAFKA_TLS_CA_FILE`},
		{map[string]string{"TRACE_CONSUMER": "parent"}, `TRACE_CONSUMER is "parent", want child+link or link`},
	} {
		if err := parse(t, c.environment).Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want %q", c.environment, err, c.want)
		}
	}
}
