package messaging_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
)

var errAway = errors.New("the database is away")

func isAway(_ context.Context, err error) bool { return errors.Is(err, errAway) }

// While what every message needs is away, a message is held: it outlasts more failures
// than it has tries, and what is told of it afterwards knows of none.
func TestConsumer_HoldsMessagesThroughAnOutage(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition())
	registry := prometheus.NewRegistry()
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, Retry: quick, Away: isAway, Registerer: registry})
	failures := 0
	done := make(chan messaging.Delivery, 1)
	consumer.Handle(events.TopicOrders, func(_ context.Context, d *messaging.Delivery) error {
		if string(d.Payload) == "never works" {
			return errors.New("boom")
		}
		if failures++; failures <= 5 {
			return errAway
		}
		done <- *d
		return nil
	})
	consume(t, consumer)
	publish(t, publisher(t, kafka, messaging.PublisherOptions{}), "outlasts", "never works")
	if d := receive(t, done, "the message after the outage"); d.Attempt != 1 {
		t.Errorf("try %d, want 1: the others did not count", d.Attempt)
	}
	// The only dead letter is of the message that failed by itself.
	letter, err := events.DecodeDeadLetter(records(t, kafka, events.TopicOrdersDLQ, 1)[0].Value)
	if err != nil || string(letter.OriginalMessage) != "never works" || letter.Attempts != 3 {
		t.Errorf("%+v, %v", letter, err)
	}
	if n, err := testutil.GatherAndCount(registry, "messaging_outage_tries_total"); n != 1 || err != nil {
		t.Errorf("%d series, %v", n, err)
	}
}

// A service that is told to stop during an outage gives the message back.
func TestConsumer_StopsDuringAnOutage(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition())
	var away atomic.Bool
	away.Store(true)
	held, worked := make(chan struct{}, 100), make(chan messaging.Delivery, 1)
	handle := func(_ context.Context, d *messaging.Delivery) error {
		if away.Load() {
			held <- struct{}{}
			return errAway
		}
		worked <- *d
		return nil
	}
	first := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, Retry: quick, Away: isAway})
	first.Handle(events.TopicOrders, handle)
	stop := consume(t, first)
	publish(t, publisher(t, kafka, messaging.PublisherOptions{}), "outlasts")
	receive(t, held, "the first failure")
	stop()
	away.Store(false)
	second := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, Retry: quick, Away: isAway})
	second.Handle(events.TopicOrders, handle)
	consume(t, second)
	if d := receive(t, worked, "the message at the next instance"); string(d.Payload) != "outlasts" {
		t.Errorf("%s", d.Payload)
	}
}
