//go:build unix

package retries

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
)

// A rebalance times out after 60 s. That it ends for another reason has to be seen well
// before; a slow machine may take some of it.
const muchLessThanTheRebalanceTimeout = 20 * time.Second

// noLetters is a dead letter topic that cannot be written.
type noLetters struct{}

func (noLetters) Publish(string, ...*message.Message) error {
	return errors.New("no dead letters today")
}
func (noLetters) Close() error { return nil }

// A second instance gets its partitions at once, whatever the message of the first one
// is waiting for.
func TestRebalanceInTheMiddleOfARetry(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config messaging.ConsumerConfig
		waits  bool // in the retry topic, rather than in the handler's topic
	}{
		"between two tries": {
			messaging.ConsumerConfig{Retry: messaging.RetryPolicy{MaxAttempts: 2, InitialWait: 20 * time.Second, TryTimeout: time.Second}},
			false,
		},
		"for the dead letter topic": {
			messaging.ConsumerConfig{DeadLetters: noLetters{}, Retry: messaging.RetryPolicy{MaxAttempts: 1}},
			false,
		},
		"for its time in the retry topic": {
			messaging.ConsumerConfig{},
			true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, group := broker(t)
			tried := make(chan struct{}, 1000)
			run := func(config messaging.ConsumerConfig, handle messaging.Handler) *prometheus.Registry {
				registry := prometheus.NewRegistry()
				config.Kafka, config.Group, config.Registerer, config.Logger = kafkaAt(addr), group, registry, slog.New(slog.DiscardHandler)
				if config.DeadLetters == nil {
					publisher, err := messaging.NewPublisher(config.Kafka, messaging.PublisherOptions{})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { _ = publisher.Close() })
					config.DeadLetters = publisher
				}
				consumer, err := messaging.NewConsumer(config)
				if err != nil {
					t.Fatal(err)
				}
				consumer.Handle(events.TopicOrders, handle)
				ctx, cancel := context.WithCancel(context.Background())
				ended := make(chan error, 1)
				go func() { ended <- consumer.Run(ctx) }()
				t.Cleanup(sync.OnceFunc(func() {
					cancel()
					if err := <-ended; err != nil {
						t.Error(err)
					}
				}))
				return registry
			}
			first := run(c.config, func(context.Context, *messaging.Delivery) error {
				tried <- struct{}{}
				return errors.New("not now")
			})
			assigned := func(registry *prometheus.Registry) float64 {
				return gauge(t, registry, "messaging_assigned_partitions", events.TopicOrders)
			}
			eventually(t, "the first instance has all partitions", func() bool { return assigned(first) == events.Partitions }, func() string { return "" })
			client, err := kgo.NewClient(kgo.SeedBrokers(addr))
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if c.waits {
				retryTopic := events.RetryTopic(events.TopicOrders, group)
				produce(t, client, waiting(retryTopic, group))
				eventually(t, "the first instance holds the record", func() bool {
					return gauge(t, first, "messaging_consumer_lag_records", retryTopic) == 1
				}, func() string { return "" })
			} else {
				produce(t, client, &kgo.Record{Topic: events.TopicOrders, Value: []byte("a")})
				select {
				case <-tried:
				case <-time.After(patience):
					t.Fatal("the message was not tried")
				}
			}

			started := time.Now()
			second := run(messaging.ConsumerConfig{}, func(context.Context, *messaging.Delivery) error { return nil })
			eventually(t, "the second instance has its half", func() bool { return assigned(second) == events.Partitions/2 && assigned(first) == events.Partitions/2 },
				func() string { return "" })
			if took := time.Since(started); took > muchLessThanTheRebalanceTimeout {
				t.Errorf("the second instance waited for %s", took)
			}
		})
	}
}

func produce(t *testing.T, client *kgo.Client, record *kgo.Record) {
	t.Helper()
	if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// waiting is a record of a retry topic that is due in an hour.
func waiting(retryTopic, group string) *kgo.Record {
	retry := events.Retry{
		Reason: events.RetryDelay, Topic: events.TopicOrders, Group: group, Attempts: 3, Delays: 1, NotBefore: time.Now().Add(time.Hour),
	}
	record := &kgo.Record{Topic: retryTopic, Value: []byte("a")}
	for name, value := range retry.Headers() {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return record
}

// gauge sums the samples of a gauge for a topic.
func gauge(t *testing.T, registry *prometheus.Registry, name, topic string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "topic" && l.GetValue() == topic {
					sum += m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}
