package messaging

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/trace"

	"millrace/pkg/events"
	"millrace/pkg/fault"
)

// Outcomes of a message, see [AttrOutcome].
const (
	outcomeOK         = "ok"
	outcomeDelayed    = "delayed"
	outcomeParked     = "parked"
	outcomeDeadLetter = "dead_letter"
	outcomeReleased   = "released"
	outcomePostponed  = "postponed"
	outcomeDiscarded  = "discarded"
)

// errReleased ends the tries of a message that is given back to its group: a
// rebalance takes the partition away, or the service shuts down.
var errReleased = errors.New("message is given back to its group")

// inHand is a message on its way through the layers.
type inHand struct {
	delivery Delivery
	intake   *intake
	claim    *claim
	// retry is what a retry topic says of the message; the zero value: it comes from
	// its own topic. unfit is why that cannot be read.
	retry events.Retry
	unfit error
	// since is from when on the message waits for us.
	since time.Time

	firstFailure time.Time
	outagePause  time.Duration // the last one; 0: what is needed is there
	lastFailure  time.Time
	// recorded: the message is known to have been put aside.
	recorded bool

	// outcome is what the tries have come to, err why, and again where the message goes
	// if it is delayed or parked.
	outcome string
	err     error
	again   events.Retry
}

// leaving tells whether the message should be let go of rather than tried again.
func (m *inHand) leaving() bool {
	select {
	case <-m.intake.draining:
		return true
	case <-m.claim.session.Done():
		return true
	default:
		return false
	}
}

// pause waits between two tries; false means that the message has to be let go of.
func (m *inHand) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-m.intake.draining:
		return false
	case <-m.claim.session.Done():
		return false
	}
}

func (m *inHand) failed() {
	m.lastFailure = time.Now()
	if m.firstFailure.IsZero() {
		m.firstFailure = m.lastFailure
	}
}

// attrs are what a fault's rule can match.
func (m *inHand) attrs() []fault.Attr {
	return []fault.Attr{
		{Key: fault.Group, Value: m.delivery.Group}, {Key: fault.Topic, Value: m.delivery.Topic},
		{Key: fault.OrderID, Value: string(m.delivery.Key)},
	}
}

type inHandKey struct{}

func inHandOf(m *message.Message) *inHand {
	return m.Context().Value(inHandKey{}).(*inHand)
}

// route adds a handler with its layers to the router, outer to inner.
func (c *Consumer) route(router *message.Router, s message.Subscriber, in *intake, handle Handler) {
	handler := router.AddConsumerHandler(c.config.Group+"."+in.topic, in.topic, s, func(m *message.Message) error {
		return c.handle(m.Context(), handle, inHandOf(m))
	})
	handler.AddMiddleware(
		c.receive(in),
		c.settled,
		c.traced,
		recovered,
		c.retried,
	)
}

// handle calls the handler, between the places where it can be made to fail.
func (c *Consumer) handle(ctx context.Context, handle Handler, h *inHand) error {
	if err := c.config.Faults.Hit(ctx, fault.ConsumeBeforeEffect, h.attrs()...); err != nil {
		return err
	}
	if err := handle(ctx, &h.delivery); err != nil {
		return err
	}
	err := c.config.Faults.Hit(ctx, fault.ConsumeAfterEffect, h.attrs()...)
	if errors.Is(err, fault.ErrDuplicate) {
		return handle(ctx, &h.delivery)
	}
	return err
}

// receive makes the Delivery, sets the context that the handler gets, and turns the
// outcome into an acknowledgement or a release. It always acknowledges towards
// Watermill: to Nack would hold the partition, and with it the group's rebalance.
func (c *Consumer) receive(in *intake) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			started := time.Now()
			h := c.take(m, in)
			if h == nil {
				return nil, nil // its session is over: nothing is marked any more
			}
			ctx, cancel := c.handlerContext(m.Context(), h.claim)
			defer cancel()
			m.SetContext(context.WithValue(ctx, inHandKey{}, h))
			h.claim.began(h.since)

			_, _ = next(m) // what has come of it is in h

			h.claim.busy.Store(false)
			if h.outcome == outcomeReleased {
				h.claim.release()
			}
			c.metrics.observe(h, started)
			return nil, nil
		}
	}
}

// handlerContext does not end when the subscription does. It ends some time after the
// session has, and when the patience of a shutdown is over.
func (c *Consumer) handlerContext(ctx context.Context, cl *claim) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	done := make(chan struct{})
	ignoreSession := context.AfterFunc(cl.session, func() {
		timer := time.NewTimer(handOverTime)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(errReleased)
		case <-done:
		}
	})
	ignoreAbort := context.AfterFunc(c.aborted, func() { cancel(errReleased) })
	return ctx, func() {
		ignoreSession()
		ignoreAbort()
		close(done)
		cancel(nil)
	}
}

// take reads what a record is about. It returns nil when its claim is over.
func (c *Consumer) take(m *message.Message, in *intake) *inHand {
	ctx := m.Context()
	partition, _ := kafka.MessagePartitionFromCtx(ctx)
	offset, _ := kafka.MessagePartitionOffsetFromCtx(ctx)
	timestamp, _ := kafka.MessageTimestampFromCtx(ctx)
	key, _ := kafka.MessageKeyFromCtx(ctx)
	h := &inHand{intake: in, claim: in.claim(partition), since: timestamp, delivery: Delivery{
		ID: m.UUID, Group: c.config.Group, Topic: in.topic, Partition: partition, Offset: offset,
		Key: key, Headers: m.Metadata, Payload: m.Payload, Timestamp: timestamp,
	}}
	if h.claim == nil {
		return nil
	}
	d := &h.delivery
	delete(d.Headers, MetadataKey)
	if in.isRetry() {
		h.unfit = h.readRetry()
	}
	if d.ID == "" {
		d.ID = d.Topic + "/" + strconv.Itoa(int(d.Partition)) + "/" + strconv.FormatInt(d.Offset, 10)
	}
	return h
}

// readRetry turns the record of a retry topic into the delivery of the original one.
func (m *inHand) readRetry() error {
	d := &m.delivery
	retry, ok, err := events.ParseRetry(d.Headers)
	switch {
	case err != nil:
		return unreadable(err)
	case !ok:
		return unreadable(&events.HeaderError{Header: events.HeaderRetryReason, Absent: true, Rule: "must be there in a retry topic"})
	case retry.Topic != m.intake.original:
		return unreadable(&events.HeaderError{Header: events.HeaderOriginalTopic, Value: retry.Topic, Rule: "must be " + m.intake.original + " in this retry topic"})
	case retry.Group != d.Group:
		return unreadable(&events.HeaderError{Header: events.HeaderGroup, Value: retry.Group, Rule: "must be " + d.Group + " in this retry topic"})
	case tooFar(retry):
		return unreadable(&events.HeaderError{Header: events.HeaderNotBefore, Value: d.Headers[events.HeaderNotBefore], Rule: "must be at most " + events.MaxDelay.String() + " ahead"})
	}
	m.retry = retry
	m.firstFailure, m.lastFailure = retry.FirstFailure, retry.FirstFailure
	if retry.NotBefore.After(m.since) {
		m.since = retry.NotBefore
	}
	// From a redrive on, nobody knows what is recorded, nor after a crash.
	m.recorded = true
	d.Topic, d.Partition, d.Offset, d.Timestamp, d.Attempt = retry.Topic, retry.Partition, retry.Offset, retry.Timestamp, retry.Attempts
	d.Headers = withoutRetry(d.Headers)
	return nil
}

// withoutRetry returns the headers of the original record.
func withoutRetry(headers map[string]string) map[string]string {
	original := maps.Clone(headers)
	for _, name := range events.RetryHeaders() {
		delete(original, name)
	}
	return original
}

// traced makes the process span, and decides what comes of the message.
func (c *Consumer) traced(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		h := inHandOf(m)
		ctx, span := startProcess(m.Context(), c.tracer, c.client, c.config.Trace, h)
		defer span.End()
		m.SetContext(ctx)
		_, err := next(m)
		c.decide(h, err)
		span.SetAttributes(AttrAttempts.Int(h.delivery.Attempt), AttrOutcome.String(h.outcome))
		if h.outcome == outcomeDeadLetter || h.outcome == outcomeDelayed {
			fail(span, err)
		}
		return nil, err
	}
}

// decide turns the result of the tries into an outcome.
func (c *Consumer) decide(h *inHand, err error) {
	h.err = err
	var parked *parkedError
	switch {
	case err == nil:
		h.outcome = outcomeOK
	case errors.Is(err, errReleased):
		h.outcome = outcomeReleased
	case errors.As(err, &parked) && parked.ahead.Where == AsideRetry:
		h.outcome, h.again = outcomeParked, h.parkedRetry(parked)
	case classOf(err) == events.ClassTransient && h.retry.Delays < len(c.config.Retry.Delays):
		h.outcome, h.again = outcomeDelayed, h.nextRetry(events.RetryDelay)
		h.again.NotBefore = time.Now().Add(c.config.Retry.Delays[h.retry.Delays])
		h.again.Delays++
	default:
		h.outcome = outcomeDeadLetter
	}
}

// nextRetry describes the message on its way into the retry topic.
func (m *inHand) nextRetry(reason events.RetryReason) events.Retry {
	d := &m.delivery
	return events.Retry{
		Reason: reason, Topic: d.Topic, Partition: d.Partition, Offset: d.Offset, Timestamp: d.Timestamp,
		Group: d.Group, Attempts: min(d.Attempt, events.MaxAttempts), Delays: m.retry.Delays, FirstFailure: m.firstFailure,
		RedriveID: m.retry.RedriveID, RedriveTraceparent: m.retry.RedriveTraceparent,
	}
}

// recovered turns a panic into an error. It is a bug: no further try will do.
func recovered(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) (_ []*message.Message, err error) {
		defer func() {
			if p := recover(); p != nil {
				h := inHandOf(m)
				h.failed()
				err = &classified{class: events.ClassPanic, err: fmt.Errorf("panic: %v\n%s", p, debug.Stack())}
			}
		}()
		return next(m)
	}
}

// retried runs the handler for as often as the policy allows in process.
func (c *Consumer) retried(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		h := inHandOf(m)
		if h.unfit != nil {
			h.failed()
			return nil, h.unfit
		}
		ctx := m.Context()
		defer m.SetContext(ctx)
		if err := c.inOrder(ctx, h); err != nil {
			return nil, err
		}
		for try := 1; ; try++ {
			if try > 1 {
				c.metrics.retries.WithLabelValues(h.delivery.Group, h.intake.topic).Inc()
			}
			err := c.try(ctx, m, h, next)
			if err == nil {
				return nil, nil
			}
			outage, released := c.outlasts(ctx, h, err)
			if released {
				return nil, errors.Join(errReleased, err)
			}
			if outage {
				try--
				continue
			}
			h.failed()
			trace.SpanFromContext(ctx).AddEvent("try failed", trace.WithAttributes(
				AttrAttempts.Int(h.delivery.Attempt), AttrErrorMessage.String(shorten(err.Error()))))
			if IsPermanent(err) {
				return nil, err
			}
			// While letting go, a failure says little about the message: its context
			// may have ended, or what it needs may be shutting down too.
			if h.leaving() {
				return nil, errors.Join(errReleased, err)
			}
			if try >= c.config.Retry.MaxAttempts {
				return nil, err
			}
			pause := c.config.Retry.wait(try)
			c.log.WarnContext(ctx, "message failed, will try again", h.logged("next_try", pause, "error", err)...)
			if !h.pause(pause) {
				return nil, errors.Join(errReleased, err)
			}
		}
	}
}

// try runs the handler once.
func (c *Consumer) try(ctx context.Context, m *message.Message, h *inHand, next message.HandlerFunc) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.Retry.TryTimeout)
	defer cancel()
	h.delivery.Attempt++
	m.SetContext(ctx)
	started := time.Now()
	_, err := next(m)
	c.metrics.tried(h, started, err)
	return err
}

// logged is what every line about the message says, and what else there is.
func (m *inHand) logged(more ...any) []any {
	d := &m.delivery
	return append([]any{
		"topic", d.Topic, "partition", d.Partition, "offset", d.Offset, "message_id", d.ID, "attempt", d.Attempt,
	}, more...)
}
