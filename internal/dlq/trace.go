package dlq

import (
	"context"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"millrace/pkg/messaging"
)

// redriveSpan is the span of one letter's redrive: a trace of its own, which links to
// the trace of the message and to whose context the message points
// (millrace_redrive_traceparent). nil is a span that does nothing.
type redriveSpan struct {
	ctx  context.Context
	span trace.Span
}

func (r *redrive) startSpan(ctx context.Context, i *item) *redriveSpan {
	d := &i.letter.Dead
	options := []trace.SpanStartOption{
		trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(messaging.OperationAttributes("redrive", "send", i.to.topic)...),
		trace.WithAttributes(
			messaging.AttrPartition.String(strconv.Itoa(int(i.to.partition))),
			messaging.AttrMessageID.String(i.letter.MessageID()),
			messaging.AttrGroup.String(i.group),
			attrLetter.String(i.letter.ID.String()),
			messaging.AttrRedriveID.String(i.id),
		),
	}
	if d.OriginalKey != nil {
		options = append(options, trace.WithAttributes(messaging.AttrMessageKey.String(string(d.OriginalKey))))
	}
	carrier := propagation.MapCarrier{"traceparent": d.Traceparent, "tracestate": d.Tracestate}
	if carrier["traceparent"] == "" {
		carrier = propagation.MapCarrier(d.Headers)
	}
	if link := trace.LinkFromContext(messaging.Propagator.Extract(ctx, carrier)); link.SpanContext.IsValid() {
		options = append(options, trace.WithLinks(link))
	}
	ctx, span := r.tracer.Start(ctx, "redrive "+i.to.topic, options...) //nolint:spancheck // the item's result ends it
	return &redriveSpan{ctx, span}                                      //nolint:spancheck // the same
}

// attrLetter, on a redrive span, is the letter's id.
const attrLetter = attribute.Key("millrace.letter")

// traceparent is the span's context in W3C form; empty when nobody takes the span.
func (s *redriveSpan) traceparent() string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(s.ctx, carrier)
	return carrier["traceparent"]
}

func (s *redriveSpan) sent(offset int64) {
	if s != nil {
		s.span.SetAttributes(messaging.AttrOffset.Int64(offset))
	}
}

func (s *redriveSpan) end(outcome Outcome, err error) {
	if s == nil {
		return
	}
	s.span.SetAttributes(messaging.AttrOutcome.String(string(outcome)))
	if err != nil {
		s.span.RecordError(err)
		s.span.SetStatus(codes.Error, err.Error())
	}
	s.span.End()
}
