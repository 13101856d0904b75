package messaging_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/messaging"
)

// All tries of a message stand in the trace of its creation, with the way through the
// retry topic between them.
func TestTracing_DelayedTries(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	kafka := broker(t, onePartition(), oneRetryPartition())
	p := publisher(t, kafka, messaging.PublisherOptions{TracerProvider: provider})
	ctx, create := messaging.Tracer(provider).Start(t.Context(), "create orders", trace.WithSpanKind(trace.SpanKindProducer))
	m := messaging.NewMessage(t.Context(), "order_1", []byte("payload"))
	messaging.Propagator.Inject(ctx, propagation.MapCarrier(m.Metadata))
	create.End()
	// Not by p: the span of its sending may end before or after those of the consumer.
	if err := publisher(t, kafka, messaging.PublisherOptions{}).Publish(events.TopicOrders, m); err != nil {
		t.Fatal(err)
	}
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, TracerProvider: provider, DeadLetters: p, Retry: messaging.RetryPolicy{
		MaxAttempts: 2, InitialWait: time.Millisecond, Delays: []time.Duration{20 * time.Millisecond},
	}})
	done := make(chan struct{})
	consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		if d.Attempt < 4 {
			return errors.New("not yet")
		}
		close(done)
		return nil
	})
	stop := consume(t, consumer)
	receive(t, done, "the fourth try")
	stop()
	const want = `create orders [producer] Unset
  . 
  process orders [consumer] Error
    . error.type=transient messaging.client.id=millrace messaging.consumer.group.name=test-group messaging.destination.name=orders messaging.destination.partition.id=0 messaging.kafka.message.key=order_1 messaging.kafka.offset=0 messaging.message.id messaging.operation.name=process messaging.operation.type=process messaging.system=kafka millrace.attempts=2 millrace.outcome=delayed millrace.queue_ms server.address=127.0.0.1 server.port
    -> create orders 
    ! try failed error.message=not yet millrace.attempts=1
    ! try failed error.message=not yet millrace.attempts=2
    send orders-retry-test-group [client] Unset
      . messaging.client.id=millrace messaging.destination.name=orders-retry-test-group messaging.destination.partition.id=0 messaging.kafka.message.key=order_1 messaging.kafka.offset=0 messaging.message.id messaging.operation.name=send messaging.operation.type=send messaging.system=kafka server.address=127.0.0.1 server.port
      -> create orders messaging.destination.partition.id=0 messaging.kafka.message.key=order_1 messaging.kafka.offset=0 messaging.message.id
  process orders [consumer] Unset
    . messaging.client.id=millrace messaging.consumer.group.name=test-group messaging.destination.name=orders messaging.destination.partition.id=0 messaging.kafka.message.key=order_1 messaging.kafka.offset=0 messaging.message.id messaging.operation.name=process messaging.operation.type=process messaging.system=kafka millrace.attempts=4 millrace.attempts_before=2 millrace.outcome=ok millrace.queue_ms millrace.retry.reason=delay millrace.retry.topic=orders-retry-test-group server.address=127.0.0.1 server.port
    -> create orders 
    ! try failed error.message=not yet millrace.attempts=3
`
	if got := spanTree(recorder.Ended()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What a redrive sends is processed in the trace of the message's creation, and links to
// the redrive.
func TestTracing_RedriveIsLinked(t *testing.T) {
	t.Parallel()
	for _, relation := range []messaging.TraceRelation{messaging.ChildAndLink, messaging.LinkOnly} {
		t.Run(string(relation), func(t *testing.T) {
			t.Parallel()
			recorder := tracetest.NewSpanRecorder()
			provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
			kafka := broker(t, onePartition(), oneRetryPartition())
			kafka.Trace = relation
			done := make(chan struct{})
			consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, TracerProvider: provider})
			consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
				close(done)
				return nil
			})
			stop := consume(t, consumer)
			const created, redriven = "00-11111111111111111111111111111111-1111111111111111-01", "00-22222222222222222222222222222222-2222222222222222-01"
			record := again("a", events.Retry{Reason: events.RetryRedrive, Attempts: 3, RedriveID: "redrive-1", RedriveTraceparent: redriven})
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: "traceparent", Value: []byte(created)})
			produce(t, kafka, record)
			receive(t, done, "the redriven message")
			stop()
			spans := recorder.Ended()
			if len(spans) != 1 {
				t.Fatalf("%d spans", len(spans))
			}
			span := spans[0]
			if isChild := span.Parent().SpanID().String() == "1111111111111111"; isChild != (relation == messaging.ChildAndLink) {
				t.Errorf("the parent is %s", span.Parent().SpanID())
			}
			links := span.Links()
			if len(links) != 2 || links[0].SpanContext.SpanID().String() != "1111111111111111" || links[1].SpanContext.TraceID().String() != strings.Repeat("2", 32) ||
				len(links[1].Attributes) != 1 || links[1].Attributes[0] != messaging.AttrRedriveID.String("redrive-1") {
				t.Errorf("links %+v", links)
			}
		})
	}
}

// How far a consumer is behind, as it tells itself.
func TestLag(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition(), oneRetryPartition())
	registry := prometheus.NewRegistry()
	inHand, finish := make(chan string), make(chan struct{})
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, Registerer: registry})
	consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		inHand <- string(d.Payload)
		<-finish
		return nil
	})
	stop := consume(t, consumer)
	// The readers of both topics join one after the other: a message in hand would be delivered again when the second one does.
	eventually(t, "both topics are read", func() bool { return lagPartitions(t, registry) == 2 })
	old := time.Now().Add(-time.Minute)
	produce(t, kafka,
		&kgo.Record{Topic: events.TopicOrders, Value: []byte("a"), Timestamp: old}, &kgo.Record{Topic: events.TopicOrders, Value: []byte("b"), Timestamp: old},
		&kgo.Record{Topic: events.TopicOrders, Value: []byte("c"), Timestamp: old})
	produce(t, kafka, again("waits", events.Retry{Reason: events.RetryDelay, Attempts: 3, NotBefore: time.Now().Add(time.Hour)}))
	lag := func(name, topic string) float64 { return metric(t, registry, name, "topic", topic) }
	receive(t, inHand, "the first message")
	eventually(t, "three records behind, the oldest for a minute", func() bool {
		seconds := lag("messaging_consumer_lag_seconds", events.TopicOrders)
		return lag("messaging_consumer_lag_records", events.TopicOrders) == 3 && seconds >= 60 && seconds < 600
	})
	eventually(t, "what is not due yet is counted, and is not old", func() bool {
		return lag("messaging_consumer_lag_records", retryTopic) == 1 && lag("messaging_consumer_lag_seconds", retryTopic) == 0
	})
	finish <- struct{}{}
	receive(t, inHand, "the second message")
	if records := lag("messaging_consumer_lag_records", events.TopicOrders); records != 2 {
		t.Errorf("%v records behind, want 2", records)
	}
	finish <- struct{}{}
	receive(t, inHand, "the third message")
	finish <- struct{}{}
	eventually(t, "it has caught up", func() bool {
		return lag("messaging_consumer_lag_records", events.TopicOrders) == 0 && lag("messaging_consumer_lag_seconds", events.TopicOrders) == 0
	})
	if tries := metric(t, registry, "messaging_try_duration_seconds", "outcome", "ok"); tries != 3 {
		t.Errorf("%v tries are timed, want 3", tries)
	}
	if ends := metric(t, registry, "messaging_process_attempts", "outcome", "ok"); ends != 3 {
		t.Errorf("the attempts of %v messages are counted, want 3", ends)
	}
	stop()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "messaging_consumer_lag") {
			t.Errorf("%s is told of a consumer that is gone: %v", family.GetName(), family)
		}
	}
}

// lagPartitions counts the partitions that a consumer has, as it tells itself.
func lagPartitions(t *testing.T, registry *prometheus.Registry) (n int) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "messaging_consumer_lag_records" {
			n = len(family.GetMetric())
		}
	}
	return n
}

// A partition that is taken away is not told of any more.
func TestLag_GoesWithThePartition(t *testing.T) {
	t.Parallel()
	kafka := broker(t)
	handle := func(context.Context, *messaging.Delivery) error { return nil }
	partitions := func(registry *prometheus.Registry) int { return lagPartitions(t, registry) }
	var registries [2]*prometheus.Registry
	for i := range registries {
		registries[i] = prometheus.NewRegistry()
		consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, Registerer: registries[i]})
		consumer.Handle(events.TopicOrders, handle)
		consume(t, consumer)
		if i == 0 {
			eventually(t, "the first one tells of all partitions", func() bool { return partitions(registries[0]) == 8 }) // 4 each, of both topics
		}
	}
	eventually(t, "each tells of its own", func() bool { return partitions(registries[0]) == 4 && partitions(registries[1]) == 4 })
}

// Each point of a consumer fires, and what it does to the message is what is promised
// of a failure there.
func TestFaults(t *testing.T) {
	t.Parallel()
	for rules, want := range map[string]string{
		"consume.before-effect=error,times=1":                                 "effect 2",
		"consume.before-effect=error":                                         "letter transient 3",
		"consume.before-effect=permanent":                                     "letter permanent 0",
		"consume.before-effect=panic":                                         "letter panic 0",
		"consume.before-effect=error,match.order_id=another":                  "effect 1",
		"consume.before-effect=error,match.order_id=key":                      "letter transient 3",
		"consume.after-effect=error,times=1":                                  "effect 1, effect 2",
		"consume.after-effect=duplicate,times=1":                              "effect 1, effect 1",
		"consume.after-ack=delay,delay=1ms":                                   "effect 1",
		"consume.before-effect=error;deadletter.before-publish=error,times=1": "letter transient 3",
		"consume.before-effect=error;deadletter.after-publish=error,times=1":  "letter transient 3, letter transient 3",
	} {
		t.Run(rules, func(t *testing.T) {
			t.Parallel()
			set := fault.New(fault.Options{}, fault.ConsumerPoints()...)
			parsed, err := fault.ParseRules(rules)
			if err != nil {
				t.Fatal(err)
			}
			if err := set.SetAll(parsed); err != nil {
				t.Fatal(err)
			}
			kafka := broker(t, onePartition(), oneRetryPartition())
			var got []string
			consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, Faults: set, Retry: quick})
			consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
				got = append(got, "effect "+string('0'+rune(d.Attempt)))
				return nil
			})
			stop := consume(t, consumer)
			publish(t, publisher(t, kafka, messaging.PublisherOptions{}), "a")
			eventually(t, "the message is acknowledged", func() bool { return committed(t, kafka, group, events.TopicOrders, 0) == 1 })
			stop()
			letters := strings.Count(want, "letter")
			if letters > 0 {
				for _, record := range records(t, kafka, events.TopicOrdersDLQ, letters) {
					letter, err := events.DecodeDeadLetter(record.Value)
					if err != nil {
						t.Fatal(err)
					}
					n := letter.Attempts
					if letter.ErrorClass != events.ClassTransient {
						n = 0
					}
					got = append(got, "letter "+string(letter.ErrorClass)+" "+string('0'+rune(n)))
				}
			}
			if text := strings.Join(got, ", "); text != want {
				t.Errorf("got %s, want %s", text, want)
			}
		})
	}
}

func TestFaults_OfTheRetryTopic(t *testing.T) {
	t.Parallel()
	set := fault.New(fault.Options{}, fault.ConsumerPoints()...)
	for _, rule := range []fault.Rule{{Point: fault.RetryBeforePublish, Kind: fault.Error, Times: 1}, {Point: fault.RetryAfterPublish, Kind: fault.Error, Times: 1}} {
		if err := set.Set(rule); err != nil {
			t.Fatal(err)
		}
	}
	kafka := broker(t, onePartition(), oneRetryPartition())
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, Faults: set, Retry: messaging.RetryPolicy{
		MaxAttempts: 1, Delays: []time.Duration{10 * time.Millisecond},
	}})
	worked := make(chan int, 10)
	consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		if d.Attempt == 1 {
			return errors.New("not yet")
		}
		worked <- d.Attempt
		return nil
	})
	stop := consume(t, consumer)
	publish(t, publisher(t, kafka, messaging.PublisherOptions{}), "a")
	// Before: nothing was sent. After: it was, its answer is lost, so it is sent twice.
	for range 2 {
		receive(t, worked, "the second try")
	}
	eventually(t, "both copies are acknowledged", func() bool { return committed(t, kafka, group, retryTopic, 0) == 2 })
	stop()
}
