package main

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"millrace/internal/orderrun"
	"millrace/pkg/messaging"
	"millrace/pkg/service"
)

// kafkaSettings are the same variables that the services read.
type kafkaSettings struct{ messaging.Config }

// kafkaClient says how to reach the broker. TLS and SASL are for the user's own
// brokers: the bundled one has neither.
func kafkaClient(brokers, environ []string, foreign bool) (orderrun.Kafka, error) {
	k := orderrun.Kafka{Brokers: brokers}
	if !foreign {
		return k, nil
	}
	settings, err := service.FromEnv[kafkaSettings](environ)
	if err != nil {
		return k, &usageError{err}
	}
	sarama, err := settings.Sarama() // has read the certificates
	if err != nil {
		return k, &usageError{err}
	}
	if sarama.Net.TLS.Enable {
		k.Options = append(k.Options, kgo.DialTLSConfig(sarama.Net.TLS.Config))
	}
	switch login := settings.SASL; login.Mechanism {
	case "":
	case "PLAIN":
		k.Options = append(k.Options, kgo.SASL(plain.Auth{User: login.Username, Pass: login.Password}.AsMechanism()))
	case "SCRAM-SHA-256":
		k.Options = append(k.Options, kgo.SASL(scram.Auth{User: login.Username, Pass: login.Password}.AsSha256Mechanism()))
	case "SCRAM-SHA-512":
		k.Options = append(k.Options, kgo.SASL(scram.Auth{User: login.Username, Pass: login.Password}.AsSha512Mechanism()))
	default:
		return k, &usageError{fmt.Errorf("KAFKA_SASL_MECHANISM %q is not known", login.Mechanism)}
	}
	return k, nil
}
