package messaging

import (
	"cmp"
	"context"
	"net"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Spans of messaging, by the OpenTelemetry semantic conventions for messaging and
// Kafka (status Development, names as of semconv 1.44):
//
//	create TOPIC   PRODUCER  where the message is made: in the request's transaction.
//	                         Its context travels as the record's traceparent.
//	send TOPIC     CLIENT    one batch; it links to each create span, and never
//	                         overwrites a traceparent. Where a message has none yet
//	                         (dead letters), the span is PRODUCER and its context travels.
//	process TOPIC  CONSUMER  one message, all its tries. Child of and linked to create
//	                         ([ChildAndLink]), or only linked ([LinkOnly]).

// Attribute names of the conventions.
const (
	AttrSystem        = attribute.Key("messaging.system")
	AttrOperationName = attribute.Key("messaging.operation.name")
	AttrOperationType = attribute.Key("messaging.operation.type")
	AttrDestination   = attribute.Key("messaging.destination.name")
	AttrPartition     = attribute.Key("messaging.destination.partition.id")
	AttrOffset        = attribute.Key("messaging.kafka.offset")
	AttrMessageKey    = attribute.Key("messaging.kafka.message.key")
	AttrMessageID     = attribute.Key("messaging.message.id")
	AttrBatchCount    = attribute.Key("messaging.batch.message_count")
	AttrGroup         = attribute.Key("messaging.consumer.group.name")
	AttrClientID      = attribute.Key("messaging.client.id")
	AttrServerAddress = attribute.Key("server.address")
	AttrServerPort    = attribute.Key("server.port")
	AttrErrorType     = attribute.Key("error.type")
	AttrErrorMessage  = attribute.Key("error.message")
)

// Attribute names of our own, for what the conventions have no name.
const (
	// AttrAttempts, on a process span, counts the tries; on its "try failed" events it
	// is the number of the try.
	AttrAttempts = attribute.Key("millrace.attempts")
	// AttrAttemptsBefore, on a process span out of a retry topic, counts the tries that
	// were made earlier; AttrAttempts goes on from there.
	AttrAttemptsBefore = attribute.Key("millrace.attempts_before")
	// AttrOutcome, on a process span, is ok, delayed, parked, dead_letter or released.
	AttrOutcome = attribute.Key("millrace.outcome")
	// AttrRetryReason, on a process span out of a retry topic, is delay, redrive or
	// parked; AttrRetryTopic is that topic.
	AttrRetryReason = attribute.Key("millrace.retry.reason")
	AttrRetryTopic  = attribute.Key("millrace.retry.topic")
	// AttrRedriveID, on the link to a redrive, is its id in the audit log.
	AttrRedriveID = attribute.Key("millrace.redrive.id")
	// AttrQueueTime, on a process span, is the time from the record's timestamp, or from
	// when it was due, to the first try, in milliseconds.
	AttrQueueTime = attribute.Key("millrace.queue_ms")
	// AttrOutboxWait, on a link of a send span, is the time from the row's creation to
	// the sending, in milliseconds.
	AttrOutboxWait = attribute.Key("millrace.outbox_ms")
)

// metadataCreatedAt carries a row's creation from the outbox's relay to the send span.
// It does not travel as a header.
const metadataCreatedAt = "_millrace_created_at"

const scope = "millrace/pkg/messaging"

// Propagator writes and reads the W3C trace context and baggage in message headers.
var Propagator propagation.TextMapPropagator = propagation.NewCompositeTextMapPropagator(
	propagation.TraceContext{}, propagation.Baggage{})

// Tracer returns the tracer of this package's spans; a nil provider gives one that does nothing.
func Tracer(provider trace.TracerProvider) trace.Tracer {
	if provider == nil {
		provider = noop.NewTracerProvider()
	}
	return provider.Tracer(scope)
}

// OperationAttributes are what every messaging span has.
func OperationAttributes(operation, kind, topic string) []attribute.KeyValue {
	return []attribute.KeyValue{
		AttrSystem.String("kafka"),
		AttrOperationName.String(operation),
		AttrOperationType.String(kind),
		AttrDestination.String(topic),
	}
}

// clientAttributes are what the spans of a client say of itself and of its broker. With several
// brokers it is not known which one was spoken to, so none is named.
func (c Config) clientAttributes() []attribute.KeyValue {
	attributes := []attribute.KeyValue{AttrClientID.String(cmp.Or(c.ClientID, defaultClient))}
	if len(c.Brokers) == 1 {
		if host, port, err := net.SplitHostPort(c.Brokers[0]); err == nil {
			attributes = append(attributes, AttrServerAddress.String(host))
			if n, err := strconv.Atoi(port); err == nil {
				attributes = append(attributes, AttrServerPort.Int(n))
			}
		}
	}
	return attributes
}

// SetCreatedAt tells the send span since when a message has waited in an outbox.
func SetCreatedAt(m *message.Message, t time.Time) {
	m.Metadata[metadataCreatedAt] = strconv.FormatInt(t.UnixNano(), 10)
}

// startSend starts the span of a batch, and gives its context to the messages that
// have none.
func startSend(tracer trace.Tracer, client []attribute.KeyValue, topic string, messages []*message.Message) trace.Span {
	kind := trace.SpanKindProducer
	for _, m := range messages {
		if m.Metadata["traceparent"] != "" {
			kind = trace.SpanKindClient
			break
		}
	}
	ctx, span := tracer.Start(messages[0].Context(), "send "+topic, trace.WithSpanKind(kind),
		trace.WithAttributes(OperationAttributes("send", "send", topic)...))
	if span.IsRecording() {
		span.SetAttributes(client...)
		if len(messages) > 1 {
			span.SetAttributes(AttrBatchCount.Int(len(messages)))
		}
	}
	for _, m := range messages {
		if m.Metadata["traceparent"] == "" {
			Propagator.Inject(ctx, propagation.MapCarrier(m.Metadata))
		}
	}
	return span
}

// endSend links the span to where its messages were created, with the place that the
// broker gave each of them.
func endSend(span trace.Span, started time.Time, messages []*message.Message, records []*sarama.ProducerMessage, err *PublishError) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	own := span.SpanContext()
	for i, m := range messages {
		attributes := []attribute.KeyValue{AttrMessageID.String(m.UUID)}
		if key, ok := m.Metadata[MetadataKey]; ok {
			attributes = append(attributes, AttrMessageKey.String(key))
		}
		if err == nil || err.Failed[i] == nil {
			attributes = append(attributes,
				AttrPartition.String(strconv.Itoa(int(records[i].Partition))),
				AttrOffset.Int64(records[i].Offset))
		}
		if nanos, parseErr := strconv.ParseInt(m.Metadata[metadataCreatedAt], 10, 64); parseErr == nil {
			attributes = append(attributes, AttrOutboxWait.Float64(milliseconds(started.Sub(time.Unix(0, nanos)))))
		}
		if len(messages) == 1 {
			span.SetAttributes(attributes...)
		}
		created := trace.SpanContextFromContext(Propagator.Extract(context.Background(), propagation.MapCarrier(m.Metadata)))
		if created.IsValid() && created.SpanID() != own.SpanID() {
			span.AddLink(trace.Link{SpanContext: created, Attributes: attributes})
		}
	}
	if err != nil {
		fail(span, err)
	}
}

// startProcess starts the span of one message. Where it comes out of a retry topic, the
// place is that of the original record, and the span stands, as every other, below the
// creation of the message; a redrive is linked to in addition.
func startProcess(ctx context.Context, tracer trace.Tracer, client []attribute.KeyValue, relation TraceRelation, h *inHand) (context.Context, trace.Span) {
	d := &h.delivery
	created := Propagator.Extract(ctx, propagation.MapCarrier(d.Headers))
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(OperationAttributes("process", "process", d.Topic)...),
	}
	if link := trace.LinkFromContext(created); link.SpanContext.IsValid() {
		options = append(options, trace.WithLinks(link))
	}
	if redrive := trace.SpanContextFromContext(Propagator.Extract(context.Background(),
		propagation.MapCarrier{"traceparent": h.retry.RedriveTraceparent})); redrive.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{
			SpanContext: redrive, Attributes: []attribute.KeyValue{AttrRedriveID.String(h.retry.RedriveID)},
		}))
	}
	if relation == LinkOnly {
		options = append(options, trace.WithNewRoot())
	}
	ctx, span := tracer.Start(created, "process "+d.Topic, options...)
	if span.IsRecording() {
		span.SetAttributes(client...)
		span.SetAttributes(
			AttrGroup.String(d.Group),
			AttrPartition.String(strconv.Itoa(int(d.Partition))),
			AttrOffset.Int64(d.Offset),
			AttrMessageID.String(d.ID),
		)
		if d.Key != nil {
			span.SetAttributes(AttrMessageKey.String(string(d.Key)))
		}
		if !h.since.IsZero() {
			span.SetAttributes(AttrQueueTime.Float64(milliseconds(time.Since(h.since))))
		}
		if h.retry.Reason != "" {
			span.SetAttributes(
				AttrRetryReason.String(string(h.retry.Reason)),
				AttrRetryTopic.String(h.intake.topic),
				AttrAttemptsBefore.Int(d.Attempt),
			)
		}
	}
	return ctx, span
}

// StartProcess starts the span of one message, for a consumer that is not a [Consumer].
func StartProcess(ctx context.Context, tracer trace.Tracer, c Config, d *Delivery) (context.Context, trace.Span) {
	return startProcess(ctx, tracer, c.clientAttributes(), c.Trace, &inHand{delivery: *d, since: d.Timestamp})
}

// FailSpan marks the span of [StartProcess] as failed.
func FailSpan(span trace.Span, err error) { fail(span, err) }

// fail marks a span as failed.
func fail(span trace.Span, err error) {
	span.RecordError(err)
	span.SetStatus(codes.Error, err.Error())
	span.SetAttributes(AttrErrorType.String(string(classOf(err))))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// TraceIDOf returns the trace of a message by its headers, if that trace is recorded. ctx
// must not be within a span of its own.
func TraceIDOf(ctx context.Context, headers map[string]string) string {
	created := trace.SpanContextFromContext(Propagator.Extract(ctx, propagation.MapCarrier(headers)))
	if !created.IsSampled() {
		return ""
	}
	return created.TraceID().String()
}
