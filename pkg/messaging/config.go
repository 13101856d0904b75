package messaging

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
	"github.com/rcrowley/go-metrics"
)

// Config is how to reach the broker. The tags are those of caarlos0/env: a service
// puts the struct into its own configuration and parses all at once.
type Config struct {
	// Brokers are bootstrap addresses, host:port.
	Brokers []string `env:"KAFKA_BROKERS" envDefault:"localhost:9092"`
	// ClientID names this program in the broker's logs; empty: millrace.
	ClientID string `env:"KAFKA_CLIENT_ID"`
	// Version is the protocol version spoken, as Kafka's release number.
	Version string `env:"KAFKA_VERSION" envDefault:"3.6.0"`

	TLS  TLSConfig  `envPrefix:"KAFKA_TLS_"`
	SASL SASLConfig `envPrefix:"KAFKA_SASL_"`

	// SessionTimeout is after how long without a heartbeat the group gives a consumer up
	// and hands its partitions to others (Kafka's session.timeout.ms); 0: 10 s.
	SessionTimeout time.Duration `env:"CONSUMER_SESSION_TIMEOUT" envDefault:"10s"`

	// CommitInterval is how often a consumer commits what it has dealt with; 0: 1 s.
	CommitInterval time.Duration `env:"-"`

	// Trace is the relation of a process span to the message's creation.
	Trace TraceRelation `env:"TRACE_CONSUMER" envDefault:"child+link"`
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

// TraceRelation is how a process span relates to the span that created the message.
type TraceRelation string

const (
	// ChildAndLink makes one trace of an order's whole way. The conventions allow it
	// where a span stands for a single message.
	ChildAndLink TraceRelation = "child+link"
	// LinkOnly starts a trace of its own for each processing.
	LinkOnly TraceRelation = "link"
)

const (
	defaultBroker  = "localhost:9092"
	defaultVersion = "3.6.0"
	defaultClient  = "millrace"
)

// oldestVersion is the first with record headers, idempotent producers and groups as
// they are used here.
var oldestVersion = sarama.V2_1_0_0

// DefaultConfig returns the configuration of an empty environment.
func DefaultConfig() Config {
	return Config{Brokers: []string{defaultBroker}, Version: defaultVersion, SessionTimeout: sessionTimeout, Trace: ChildAndLink}
}

// Validate names the first variable that is wrong, its value and what is allowed.
func (c Config) Validate() error {
	if len(c.Brokers) == 0 {
		return fmt.Errorf("KAFKA_BROKERS is empty, want host:port[,host:port…]")
	}
	for _, broker := range c.Brokers {
		host, port, err := net.SplitHostPort(broker)
		n, numErr := strconv.Atoi(port)
		if err != nil || host == "" || numErr != nil || n < 1 || n > 65535 {
			return fmt.Errorf("KAFKA_BROKERS holds %q, want host:port[,host:port…]", broker)
		}
	}
	if version, err := c.version(); err != nil || !version.IsAtLeast(oldestVersion) {
		return fmt.Errorf("KAFKA_VERSION is %q, want a Kafka release from %s to %s", c.Version, oldestVersion, sarama.MaxVersion)
	}
	switch c.SASL.Mechanism {
	case "":
	case sarama.SASLTypePlaintext, sarama.SASLTypeSCRAMSHA256, sarama.SASLTypeSCRAMSHA512:
		if c.SASL.Username == "" || c.SASL.Password == "" {
			return fmt.Errorf("KAFKA_SASL_MECHANISM is %s, so KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD must be set", c.SASL.Mechanism)
		}
	default:
		return fmt.Errorf("KAFKA_SASL_MECHANISM is %q, want PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", c.SASL.Mechanism)
	}
	if (c.TLS.CertFile == "") != (c.TLS.KeyFile == "") {
		return fmt.Errorf("KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE must be set both or neither")
	}
	if c.SessionTimeout != 0 && (c.SessionTimeout < minSessionTimeout || c.SessionTimeout > maxSessionTimeout) {
		return fmt.Errorf("CONSUMER_SESSION_TIMEOUT is %q, want a duration from %v to %v, as 10s", c.SessionTimeout, minSessionTimeout, maxSessionTimeout)
	}
	switch c.Trace {
	case "", ChildAndLink, LinkOnly:
	default:
		return fmt.Errorf("TRACE_CONSUMER is %q, want %s or %s", c.Trace, ChildAndLink, LinkOnly)
	}
	_, err := c.TLS.config()
	return err
}

func (c Config) version() (sarama.KafkaVersion, error) {
	if c.Version == "" {
		return sarama.ParseKafkaVersion(defaultVersion)
	}
	return sarama.ParseKafkaVersion(c.Version)
}

// Limits of the conversation with the broker. A producer gives up after about five
// seconds of refused connections; its caller keeps the message and comes back.
const (
	dialTimeout    = 5 * time.Second
	requestTimeout = 10 * time.Second
	sessionTimeout = 10 * time.Second
	heartbeat      = time.Second
	// A heartbeat may be late twice; the broker's own bounds are 6 s and 30 min.
	minSessionTimeout = 3 * heartbeat
	maxSessionTimeout = 5 * time.Minute
	rebalanceTimeout  = 60 * time.Second
	commitInterval    = time.Second
	producerRetries   = 5
	producerBackoff   = 200 * time.Millisecond
	maxBackoff        = 2 * time.Second
)

// sarama counts into go-metrics, at the price of a goroutine and of histograms for
// every request, which nobody reads here: our metrics go to Prometheus. This global
// switch is the only one there is, and it has to be set before the first client.
func init() { metrics.UseNilMetrics = true }

// Sarama returns the settings that all clients of a service share: acks from all
// in-sync replicas, idempotent producer, Kafka's own partitioner for keys, groups that
// start at the oldest offset.
func (c Config) Sarama() (*sarama.Config, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := sarama.NewConfig()
	s.Version, _ = c.version() // validated
	s.ClientID = defaultClient
	if c.ClientID != "" {
		s.ClientID = c.ClientID
	}
	s.Net.DialTimeout = dialTimeout
	s.Net.WriteTimeout = requestTimeout
	// A JoinGroup waits for the other members, for at most the rebalance timeout.
	s.Net.ReadTimeout = rebalanceTimeout + requestTimeout
	s.Metadata.Retry.Max = 3
	s.Metadata.Retry.Backoff = producerBackoff
	// Topics are made by EnsureTopics, with the right number of partitions.
	s.Metadata.AllowAutoTopicCreation = false

	s.Producer.RequiredAcks = sarama.WaitForAll
	s.Producer.Idempotent = true
	s.Net.MaxOpenRequests = 1 // what idempotence needs to keep the order
	s.Producer.Timeout = requestTimeout
	s.Producer.Partitioner = sarama.NewMurmur2Partitioner
	s.Producer.Return.Successes = true
	s.Producer.Return.Errors = true
	s.Producer.Retry.Max = producerRetries
	s.Producer.Retry.BackoffFunc = func(retries, _ int) time.Duration {
		return min(producerBackoff<<max(retries-1, 0), maxBackoff)
	}

	s.Consumer.Return.Errors = true
	s.Consumer.Offsets.Initial = sarama.OffsetOldest
	s.Consumer.Offsets.AutoCommit.Interval = cmp.Or(c.CommitInterval, commitInterval)
	s.Consumer.Group.Session.Timeout = cmp.Or(c.SessionTimeout, sessionTimeout)
	s.Consumer.Group.Heartbeat.Interval = heartbeat
	s.Consumer.Group.Rebalance.Timeout = rebalanceTimeout
	s.Consumer.Group.Rebalance.Retry.Backoff = producerBackoff

	if c.TLS.Enabled {
		tlsConfig, err := c.TLS.config()
		if err != nil {
			return nil, err
		}
		s.Net.TLS.Enable, s.Net.TLS.Config = true, tlsConfig
	}
	if c.SASL.Mechanism != "" {
		s.Net.SASL.Enable = true
		s.Net.SASL.Mechanism = sarama.SASLMechanism(c.SASL.Mechanism)
		s.Net.SASL.User, s.Net.SASL.Password = c.SASL.Username, c.SASL.Password
		if strings.HasPrefix(c.SASL.Mechanism, "SCRAM-") {
			mechanism := c.SASL.Mechanism
			s.Net.SASL.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return newSCRAM(mechanism) }
		}
	}
	return s, s.Validate()
}

func (c TLSConfig) config() (*tls.Config, error) {
	if !c.Enabled {
		return nil, nil
	}
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         c.ServerName,
		InsecureSkipVerify: c.InsecureSkipVerify, //nolint:gosec // the variable's name says what it does
	}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("KAFKA_TLS_CA_FILE: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("KAFKA_TLS_CA_FILE: %s holds no PEM certificate", c.CAFile)
		}
	}
	if c.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	return config, nil
}
