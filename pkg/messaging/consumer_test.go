package messaging_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
)

const group = "test-group"

var quick = messaging.RetryPolicy{InitialWait: time.Millisecond}

func newConsumer(t *testing.T, c messaging.ConsumerConfig) *messaging.Consumer {
	t.Helper()
	c.Group = group
	if c.DeadLetters == nil {
		c.DeadLetters = publisher(t, c.Kafka, messaging.PublisherOptions{})
	}
	c.Logger = logger()
	consumer, err := messaging.NewConsumer(c)
	if err != nil {
		t.Fatal(err)
	}
	return consumer
}

// topic makes the topics orders and orders-dlq, the former with one partition.
func onePartition() kfake.Opt { return kfake.SeedTopics(1, events.TopicOrders) }

func publish(t *testing.T, p message.Publisher, payloads ...string) {
	t.Helper()
	var messages []*message.Message
	for _, payload := range payloads {
		messages = append(messages, messaging.NewMessage(t.Context(), "key", []byte(payload)))
	}
	if err := p.Publish(events.TopicOrders, messages...); err != nil {
		t.Fatal(err)
	}
}

func TestConsumer_DeliversInOrderWithItsPlace(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition())
	got := make(chan messaging.Delivery, 10)
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka})
	consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		got <- *d
		return nil
	})
	if err := consumer.Ready(t.Context()); err == nil {
		t.Error("ready before Run")
	}
	stop := consume(t, consumer)
	p := publisher(t, kafka, messaging.PublisherOptions{})
	publish(t, p, "0", "1", "2")
	for i := range 3 {
		d := receive(t, got, "a message")
		if d.Offset != int64(i) || string(d.Payload) != strconv.Itoa(i) || string(d.Key) != "key" || d.Attempt != 1 ||
			d.Topic != events.TopicOrders || d.Group != group || len(d.ID) != 36 || time.Since(d.Timestamp) > time.Minute {
			t.Errorf("got %+v", d)
		}
	}
	// A foreign producer sends no message id.
	if err := client(t, kafka).ProduceSync(t.Context(), &kgo.Record{Topic: events.TopicOrders, Value: []byte("foreign")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if d := receive(t, got, "the foreign message"); d.ID != "orders/0/3" || d.Key != nil {
		t.Errorf("got %+v", d)
	}
	ready(t, consumer)
	stop()
	if err := consumer.Ready(t.Context()); err == nil {
		t.Error("ready after the end")
	}
	if n := committed(t, kafka, group, events.TopicOrders, 0); n != 4 {
		t.Errorf("committed %d, want 4", n)
	}
}

func TestConsumer_TriesAgainThenSendsToDeadLetters(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition())
	var mu sync.Mutex
	tries := map[string]int{}
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, Retry: quick})
	order, err := events.Encode(events.OrderCreated{OrderID: "o", CustomerID: "c", Items: []events.Item{{ProductID: "p", Quantity: 1}}, Timestamp: time.Unix(0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		mu.Lock()
		tries[string(d.Payload)]++
		n := tries[string(d.Payload)]
		mu.Unlock()
		if n != d.Attempt {
			t.Errorf("%s: try %d is said to be %d", d.Payload, n, d.Attempt)
		}
		switch string(d.Payload) {
		case "works at the third try":
			if n == 3 {
				return nil
			}
			return errors.New("not yet")
		case "never works":
			return errors.New("boom")
		case "is hopeless":
			return messaging.Permanent(errors.New("hopeless"))
		case "panics":
			panic("bug")
		case "blocks":
			<-ctx.Done()
			return ctx.Err()
		default:
			return messaging.EventHandler(func(context.Context, events.Event, *messaging.Delivery) error { return nil })(ctx, d)
		}
	})
	stop := consume(t, consumer)
	publish(t, publisher(t, kafka, messaging.PublisherOptions{}),
		"works at the third try", "never works", "is hopeless", "panics", "no json \xff", `{"event_type":"OTHER"}`, string(order))

	letters := map[string]events.DeadLetter{}
	for _, record := range records(t, kafka, events.TopicOrdersDLQ, 5) {
		letter, err := events.DecodeDeadLetter(record.Value)
		if err != nil {
			t.Fatal(err)
		}
		if string(record.Key) != "key" || string(letter.OriginalKey) != "key" {
			t.Errorf("key %q, original key %q", record.Key, letter.OriginalKey)
		}
		letters[string(letter.OriginalMessage)] = letter
	}
	for _, want := range []struct {
		payload  string
		offset   int64
		attempts int
		class    events.ErrorClass
		text     string
	}{
		{"never works", 1, 3, events.ClassTransient, "boom"},
		{"is hopeless", 2, 1, events.ClassPermanent, "hopeless"},
		{"panics", 3, 1, events.ClassPanic, "panic: bug"},
		{"no json \xff", 4, 1, events.ClassUnreadable, "no readable JSON"},
		{`{"event_type":"OTHER"}`, 5, 1, events.ClassUnreadable, `unknown event_type "OTHER"`},
	} {
		got := letters[want.payload]
		if got.OriginalOffset != want.offset || got.Attempts != want.attempts || got.ErrorClass != want.class ||
			!strings.Contains(got.Error, want.text) || got.Group != group || got.OriginalTopic != events.TopicOrders ||
			got.FirstFailure.IsZero() || got.LastFailure.Before(got.FirstFailure) || got.MessageID == "" {
			t.Errorf("%q: got %+v", want.payload, got)
		}
	}
	eventually(t, "the partition goes on", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return tries[string(order)] == 1
	})
	stop()
	if n := committed(t, kafka, group, events.TopicOrders, 0); n != 7 {
		t.Errorf("committed %d, want 7", n)
	}
}

func TestConsumer_LimitsEachTry(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition())
	tries := make(chan int, 3)
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, Retry: messaging.RetryPolicy{InitialWait: time.Millisecond, TryTimeout: 20 * time.Millisecond}})
	consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		if ctx.Err() != nil {
			t.Error("a try starts with a context that is over")
		}
		tries <- d.Attempt
		<-ctx.Done()
		return ctx.Err()
	})
	consume(t, consumer)
	publish(t, publisher(t, kafka, messaging.PublisherOptions{}), "slow")
	for want := range 3 {
		if got := receive(t, tries, "a try"); got != want+1 {
			t.Errorf("try %d, want %d", got, want+1)
		}
	}
	letter, err := events.DecodeDeadLetter(records(t, kafka, events.TopicOrdersDLQ, 1)[0].Value)
	if err != nil || letter.ErrorClass != events.ClassTransient || letter.Attempts != 3 {
		t.Errorf("got %+v, %v", letter, err)
	}
}

// The heart of a shutdown: the message in hand is finished once, acknowledged, and its
// offset committed; those behind it wait for the next run.
func TestConsumer_DrainFinishesTheMessageInHand(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition())
	effects := make(chan string, 10)
	inHand, finish := make(chan struct{}), make(chan struct{})
	first := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka})
	first.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		close(inHand)
		<-finish
		if ctx.Err() != nil {
			t.Error("the shutdown has ended the handler's context")
		}
		effects <- "first run: " + string(d.Payload)
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- first.Run(ctx) }()
	publish(t, publisher(t, kafka, messaging.PublisherOptions{}), "a", "b", "c")
	receive(t, inHand, "the message")
	cancel()
	eventually(t, "the shutdown begins", func() bool {
		err := first.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), "shutting down")
	})
	close(finish)
	if err := receive(t, done, "the end"); err != nil {
		t.Fatal(err)
	}
	if n := committed(t, kafka, group, events.TopicOrders, 0); n != 1 {
		t.Errorf("committed %d, want 1", n)
	}

	second := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka})
	second.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		effects <- "second run: " + string(d.Payload)
		return nil
	})
	stop := consume(t, second)
	for _, want := range []string{"first run: a", "second run: b", "second run: c"} {
		if got := receive(t, effects, want); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	stop()
	if len(effects) != 0 {
		t.Errorf("%q came again", <-effects)
	}
}

// A handler that fails because all is shutting down says nothing about its message.
func TestConsumer_ShutdownReleasesWhatFails(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition())
	tried := make(chan int, 10)
	first := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, Retry: messaging.RetryPolicy{InitialWait: 10 * time.Second, MaxAttempts: 2, TryTimeout: time.Second}})
	first.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		tried <- d.Attempt
		return errors.New("database is shutting down")
	})
	stop := consume(t, first)
	publish(t, publisher(t, kafka, messaging.PublisherOptions{}), "a")
	receive(t, tried, "the first try")
	started := time.Now()
	stop() // in the wait before the second try
	if took := time.Since(started); took > 4*time.Second {
		t.Errorf("the shutdown took %s", took)
	}
	if n := committed(t, kafka, group, events.TopicOrders, 0); n > 0 {
		t.Errorf("committed %d", n)
	}
	again := make(chan string, 1)
	second := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka})
	second.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		again <- string(d.Payload)
		return nil
	})
	stop = consume(t, second)
	if got := receive(t, again, "the released message"); got != "a" {
		t.Errorf("got %q", got)
	}
	stop()
}

// A handler that does not end in time is given up, and its message delivered again.
func TestConsumer_DrainHasAnEnd(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition())
	inHand := make(chan struct{})
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, DrainTimeout: 50 * time.Millisecond})
	consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		close(inHand)
		<-ctx.Done()
		return ctx.Err()
	})
	stop := consume(t, consumer)
	publish(t, publisher(t, kafka, messaging.PublisherOptions{}), "a")
	receive(t, inHand, "the message")
	stop()
	if n := committed(t, kafka, group, events.TopicOrders, 0); n > 0 {
		t.Errorf("committed %d", n)
	}
}

// brokenPublisher is a dead letter topic that cannot be written.
type brokenPublisher struct{ calls atomic.Int64 }

func (p *brokenPublisher) Publish(string, ...*message.Message) error {
	p.calls.Add(1)
	return errors.New("no dead letters today")
}
func (p *brokenPublisher) Close() error { return nil }

func TestConsumer_KeepsWhatTheDeadLetterTopicDoesNotTake(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition())
	broken := &brokenPublisher{}
	fail := func(ctx context.Context, d *messaging.Delivery) error {
		return messaging.Permanent(errors.New("boom"))
	}
	first := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, DeadLetters: broken})
	first.Handle(events.TopicOrders, fail)
	stop := consume(t, first)
	publish(t, publisher(t, kafka, messaging.PublisherOptions{}), "a")
	eventually(t, "several tries to write", func() bool { return broken.calls.Load() >= 3 })
	stop()
	if n := committed(t, kafka, group, events.TopicOrders, 0); n > 0 {
		t.Errorf("committed %d", n)
	}
	second := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka})
	second.Handle(events.TopicOrders, fail)
	stop = consume(t, second)
	letter, err := events.DecodeDeadLetter(records(t, kafka, events.TopicOrdersDLQ, 1)[0].Value)
	if err != nil || string(letter.OriginalMessage) != "a" {
		t.Errorf("got %+v, %v", letter, err)
	}
	stop()
	if n := committed(t, kafka, group, events.TopicOrders, 0); n != 1 {
		t.Errorf("committed %d, want 1", n)
	}
}

// A second instance must not wait for the first one's tries to end.
func TestConsumer_RebalanceEndsTheTries(t *testing.T) {
	t.Parallel()
	kafka := broker(t)
	var failing atomic.Bool
	failing.Store(true)
	tried := make(chan struct{}, 100)
	worked := make(chan string, 100)
	instance := func() *messaging.Consumer {
		c := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, Retry: messaging.RetryPolicy{InitialWait: 20 * time.Second, MaxAttempts: 2, TryTimeout: time.Second}})
		c.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
			if failing.Load() {
				tried <- struct{}{}
				return errors.New("not now")
			}
			worked <- string(d.Payload)
			return nil
		})
		return c
	}
	first := instance()
	stopFirst := consume(t, first)
	ready(t, first)
	publish(t, publisher(t, kafka, messaging.PublisherOptions{}), "a")
	receive(t, tried, "the first try")

	started := time.Now()
	second := instance()
	failing.Store(false)
	stopSecond := consume(t, second)
	ready(t, second)
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("the second instance waited for %s", took)
	}
	if got := receive(t, worked, "the released message"); got != "a" {
		t.Errorf("got %q", got)
	}
	stopFirst()
	stopSecond()
	if len(worked) != 0 {
		t.Errorf("%q came again", <-worked)
	}
}

func TestConsumer_WaitsForTheBroker(t *testing.T) {
	t.Parallel()
	kafka := messaging.DefaultConfig()
	kafka.Brokers = []string{"127.0.0.1:1"}
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka})
	consumer.Handle(events.TopicOrders, func(context.Context, *messaging.Delivery) error { return nil })
	stop := consume(t, consumer)
	eventually(t, "the reason is told", func() bool {
		err := consumer.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), "waiting for the broker")
	})
	stop()
}
