package messaging_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
)

// spanTree prints spans as a tree, each with its kind, its attributes as far as they
// are the same in each run, and what it links to.
func spanTree(spans []sdktrace.ReadOnlySpan) string {
	names := map[trace.SpanID]string{}
	for _, s := range spans {
		names[s.SpanContext().SpanID()] = s.Name()
	}
	varying := []attribute.Key{messaging.AttrMessageID, messaging.AttrQueueTime, messaging.AttrOutboxWait, messaging.AttrServerPort}
	describe := func(attributes []attribute.KeyValue) string {
		var parts []string
		for _, a := range attributes {
			if slices.Contains(varying, a.Key) {
				parts = append(parts, string(a.Key))
			} else {
				parts = append(parts, string(a.Key)+"="+a.Value.String())
			}
		}
		slices.Sort(parts)
		return strings.Join(parts, " ")
	}
	var out strings.Builder
	var walk func(parent trace.SpanID, depth int)
	walk = func(parent trace.SpanID, depth int) {
		var children []sdktrace.ReadOnlySpan
		for _, s := range spans {
			known := names[s.Parent().SpanID()] != ""
			if s.Parent().SpanID() == parent && known || !known && !parent.IsValid() {
				children = append(children, s)
			}
		}
		slices.SortFunc(children, func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
		for _, s := range children {
			indent := strings.Repeat("  ", depth)
			fmt.Fprintf(&out, "%s%s [%s] %s\n", indent, s.Name(), s.SpanKind(), s.Status().Code)
			fmt.Fprintf(&out, "%s  . %s\n", indent, describe(s.Attributes()))
			for _, l := range s.Links() {
				fmt.Fprintf(&out, "%s  -> %s %s\n", indent, names[l.SpanContext.SpanID()], describe(l.Attributes))
			}
			for _, e := range s.Events() {
				if e.Name != "exception" {
					fmt.Fprintf(&out, "%s  ! %s %s\n", indent, e.Name, describe(e.Attributes))
				}
			}
			walk(s.SpanContext().SpanID(), depth+1)
		}
	}
	walk(trace.SpanID{}, 0)
	return out.String()
}

// One message with a create span, as an outbox has it, that fails twice and then for good.
func traceOfAFailure(t *testing.T, relation messaging.TraceRelation) string {
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	kafka := broker(t, onePartition())
	kafka.Trace = relation
	p := publisher(t, kafka, messaging.PublisherOptions{TracerProvider: provider})

	ctx, create := messaging.Tracer(provider).Start(t.Context(), "create orders", trace.WithSpanKind(trace.SpanKindProducer))
	m := messaging.NewMessage(t.Context(), "order_1", []byte("payload"))
	messaging.Propagator.Inject(ctx, propagation.MapCarrier(m.Metadata))
	messaging.SetCreatedAt(m, time.Now())
	create.End()
	traceparent := m.Metadata["traceparent"]
	if err := p.Publish(events.TopicOrders, m); err != nil {
		t.Fatal(err)
	}
	if m.Metadata["traceparent"] != traceparent {
		t.Error("the send span has overwritten the traceparent")
	}

	inHandler := make(chan trace.SpanContext, 2)
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, TracerProvider: provider, DeadLetters: p,
		Retry: messaging.RetryPolicy{MaxAttempts: 2, InitialWait: time.Millisecond}})
	consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		inHandler <- trace.SpanContextFromContext(ctx)
		return errors.New("boom")
	})
	stop := consume(t, consumer)
	handler := receive(t, inHandler, "the handler")
	letterRecord := records(t, kafka, events.TopicOrdersDLQ, 1)[0]
	stop()

	letter, err := events.DecodeDeadLetter(letterRecord.Value)
	if err != nil || letter.Traceparent != traceparent {
		t.Errorf("the dead letter keeps traceparent %q, want %q, %v", letter.Traceparent, traceparent, err)
	}
	sameTrace := handler.TraceID() == create.SpanContext().TraceID()
	if sameTrace != (relation == messaging.ChildAndLink) {
		t.Errorf("%s: one trace is %v", relation, sameTrace)
	}
	for _, h := range letterRecord.Headers {
		if h.Key == "traceparent" && !strings.Contains(string(h.Value), handler.TraceID().String()) {
			t.Errorf("the dead letter's record belongs to trace %s", h.Value)
		}
	}
	return spanTree(recorder.Ended())
}

func TestTracing_ChildAndLink(t *testing.T) {
	t.Parallel()
	const want = `create orders [producer] Unset
  . 
  process orders [consumer] Error
    . error.type=transient messaging.client.id=millrace messaging.consumer.group.name=test-group messaging.destination.name=orders messaging.destination.partition.id=0 messaging.kafka.message.key=order_1 messaging.kafka.offset=0 messaging.message.id messaging.operation.name=process messaging.operation.type=process messaging.system=kafka millrace.attempts=2 millrace.outcome=dead_letter millrace.queue_ms server.address=127.0.0.1 server.port
    -> create orders 
    ! try failed error.message=boom millrace.attempts=1
    ! try failed error.message=boom millrace.attempts=2
    send orders-dlq [producer] Unset
      . messaging.client.id=millrace messaging.destination.name=orders-dlq messaging.destination.partition.id=0 messaging.kafka.message.key=order_1 messaging.kafka.offset=0 messaging.message.id messaging.operation.name=send messaging.operation.type=send messaging.system=kafka server.address=127.0.0.1 server.port
send orders [client] Unset
  . messaging.client.id=millrace messaging.destination.name=orders messaging.destination.partition.id=0 messaging.kafka.message.key=order_1 messaging.kafka.offset=0 messaging.message.id messaging.operation.name=send messaging.operation.type=send messaging.system=kafka millrace.outbox_ms server.address=127.0.0.1 server.port
  -> create orders messaging.destination.partition.id=0 messaging.kafka.message.key=order_1 messaging.kafka.offset=0 messaging.message.id millrace.outbox_ms
`
	if got := withoutPartition(traceOfAFailure(t, messaging.ChildAndLink)); got != withoutPartition(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTracing_LinkOnly(t *testing.T) {
	t.Parallel()
	got := traceOfAFailure(t, messaging.LinkOnly)
	if !strings.Contains(got, "\nprocess orders [consumer] Error\n") || strings.Count(got, "-> create orders") != 2 {
		t.Errorf("got\n%s", got)
	}
}

// withoutPartition leaves out where in orders-dlq the letter went: it has four partitions.
func withoutPartition(tree string) string {
	lines := strings.Split(tree, "\n")
	for i, line := range lines {
		if strings.Contains(line, "orders-dlq") {
			for _, p := range []string{"0", "1", "2", "3"} {
				line = strings.ReplaceAll(line, "partition.id="+p, "partition.id=?")
			}
			lines[i] = line
		}
	}
	return strings.Join(lines, "\n")
}

func TestTracing_BatchLinksToEachMessage(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	p := publisher(t, broker(t, onePartition()), messaging.PublisherOptions{TracerProvider: provider})
	first, second := messaging.NewMessage(t.Context(), "a", nil), messaging.NewMessage(t.Context(), "b", nil)
	ctx, create := messaging.Tracer(provider).Start(t.Context(), "create orders")
	messaging.Propagator.Inject(ctx, propagation.MapCarrier(first.Metadata))
	create.End()
	if err := p.Publish(events.TopicOrders, first, second); err != nil {
		t.Fatal(err)
	}
	const want = `create orders [internal] Unset
  . 
send orders [client] Unset
  . messaging.batch.message_count=2 messaging.client.id=millrace messaging.destination.name=orders messaging.operation.name=send messaging.operation.type=send messaging.system=kafka server.address=127.0.0.1 server.port
  -> create orders messaging.destination.partition.id=0 messaging.kafka.message.key=a messaging.kafka.offset=0 messaging.message.id
`
	if got := spanTree(recorder.Ended()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if second.Metadata["traceparent"] == "" {
		t.Error("a message without a creation context did not get the send span's")
	}
}
