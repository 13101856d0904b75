package messaging

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"go.opentelemetry.io/otel/trace"

	"millrace/pkg/events"
)

// RetryPolicy bounds the tries of one message. All of it together must stay well
// below the group's rebalance timeout of 60 s: Validate checks that.
type RetryPolicy struct {
	// MaxAttempts counts the first try too; 0: 3.
	MaxAttempts int
	// InitialWait is the mean wait before the second try; 0: 200 ms. Each wait is
	// three times the one before, and varies by half of itself.
	InitialWait time.Duration
	// TryTimeout limits one try; 0: 10 s.
	TryTimeout time.Duration
}

const waitGrowth = 3

func (p RetryPolicy) withDefaults() RetryPolicy {
	if p.MaxAttempts == 0 {
		p.MaxAttempts = 3
	}
	if p.InitialWait == 0 {
		p.InitialWait = 200 * time.Millisecond
	}
	if p.TryTimeout == 0 {
		p.TryTimeout = 10 * time.Second
	}
	return p
}

// Validate returns an error when the tries could hold a partition for too long.
func (p RetryPolicy) Validate() error {
	p = p.withDefaults()
	if p.MaxAttempts < 1 || p.InitialWait < 0 || p.TryTimeout < 0 {
		return errors.New("retry policy: a value is negative")
	}
	total, pause := time.Duration(0), p.InitialWait
	for attempt := range p.MaxAttempts {
		total += p.TryTimeout
		if attempt > 0 {
			total += pause * 3 / 2
			pause *= waitGrowth
		}
		if total > rebalanceTimeout*3/4 {
			return fmt.Errorf("retry policy: %d tries of %s and their waits take more than %s", p.MaxAttempts, p.TryTimeout, rebalanceTimeout*3/4)
		}
	}
	return nil
}

// wait is the pause after a failed try.
func (p RetryPolicy) wait(attempt int) time.Duration {
	mean := p.InitialWait
	for range attempt - 1 {
		mean *= waitGrowth
	}
	return mean/2 + rand.N(mean+1)
}

// Outcomes of a message, see [AttrOutcome].
const (
	outcomeOK         = "ok"
	outcomeDeadLetter = "dead_letter"
	outcomeReleased   = "released"
)

// errReleased ends the tries of a message that is given back to its group: a
// rebalance takes the partition away, or the service shuts down.
var errReleased = errors.New("message is given back to its group")

// inHand is a message on its way through the layers.
type inHand struct {
	delivery     Delivery
	claim        *claim
	draining     <-chan struct{}
	firstFailure time.Time
	lastFailure  time.Time
}

// leaving tells whether the message should be let go of rather than tried again.
func (m *inHand) leaving() bool {
	select {
	case <-m.draining:
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
	case <-m.draining:
		return false
	case <-m.claim.session.Done():
		return false
	}
}

type inHandKey struct{}

func inHandOf(m *message.Message) *inHand {
	return m.Context().Value(inHandKey{}).(*inHand)
}

// route adds a handler with its layers to the router, outer to inner.
func (c *Consumer) route(router *message.Router, s message.Subscriber, in *intake, h topicHandler) {
	handler := router.AddConsumerHandler(c.config.Group+"."+h.topic, h.topic, s, func(m *message.Message) error {
		return h.handle(m.Context(), &inHandOf(m).delivery)
	})
	handler.AddMiddleware(
		c.receive(in),
		c.deadLetter,
		c.traced,
		recovered,
		c.retried,
	)
}

// receive makes the Delivery, sets the context that the handler gets, and turns the
// outcome into an acknowledgement or a release. It always acknowledges towards
// Watermill: to Nack would hold the partition, and with it the group's rebalance.
func (c *Consumer) receive(in *intake) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			started := time.Now()
			h := &inHand{delivery: c.delivery(m, in.topic), draining: c.draining}
			if h.claim = in.claim(h.delivery.Partition); h.claim == nil {
				return nil, nil // its session is over: nothing is marked any more
			}
			ctx, cancel := c.handlerContext(m.Context(), h.claim)
			defer cancel()
			m.SetContext(context.WithValue(ctx, inHandKey{}, h))

			_, err := next(m)

			outcome := outcomeOK
			switch {
			case errors.Is(err, errReleased):
				outcome = outcomeReleased
				h.claim.release()
			case err != nil: // handled: it is in the dead letter topic
				outcome = outcomeDeadLetter
			}
			c.metrics.processed.WithLabelValues(c.config.Group, in.topic, outcome).Inc()
			c.metrics.duration.WithLabelValues(c.config.Group, in.topic).Observe(time.Since(started).Seconds())
			if !h.delivery.Timestamp.IsZero() {
				c.metrics.queueTime.WithLabelValues(c.config.Group, in.topic).Observe(started.Sub(h.delivery.Timestamp).Seconds())
			}
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

func (c *Consumer) delivery(m *message.Message, topic string) Delivery {
	ctx := m.Context()
	partition, _ := kafka.MessagePartitionFromCtx(ctx)
	offset, _ := kafka.MessagePartitionOffsetFromCtx(ctx)
	timestamp, _ := kafka.MessageTimestampFromCtx(ctx)
	key, _ := kafka.MessageKeyFromCtx(ctx)
	d := Delivery{
		ID: m.UUID, Group: c.config.Group, Topic: topic, Partition: partition, Offset: offset,
		Key: key, Headers: m.Metadata, Payload: m.Payload, Timestamp: timestamp,
	}
	delete(d.Headers, MetadataKey)
	if d.ID == "" {
		d.ID = topic + "/" + strconv.Itoa(int(partition)) + "/" + strconv.FormatInt(offset, 10)
	}
	return d
}

// traced makes the process span.
func (c *Consumer) traced(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		h := inHandOf(m)
		ctx, span := startProcess(m.Context(), c.tracer, c.config.Trace, &h.delivery)
		defer span.End()
		m.SetContext(ctx)
		_, err := next(m)
		span.SetAttributes(AttrAttempts.Int(h.delivery.Attempt))
		switch {
		case err == nil:
			span.SetAttributes(AttrOutcome.String(outcomeOK))
		case errors.Is(err, errReleased):
			span.SetAttributes(AttrOutcome.String(outcomeReleased))
		default:
			span.SetAttributes(AttrOutcome.String(outcomeDeadLetter))
			fail(span, err)
		}
		return nil, err
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

func (m *inHand) failed() {
	m.lastFailure = time.Now()
	if m.firstFailure.IsZero() {
		m.firstFailure = m.lastFailure
	}
}

// retried runs the handler for as often as the policy allows.
func (c *Consumer) retried(next message.HandlerFunc) message.HandlerFunc {
	policy := c.config.Retry
	return func(m *message.Message) ([]*message.Message, error) {
		h := inHandOf(m)
		ctx := m.Context()
		defer m.SetContext(ctx)
		for {
			h.delivery.Attempt++
			if h.delivery.Attempt > 1 {
				c.metrics.retries.WithLabelValues(h.delivery.Group, h.delivery.Topic).Inc()
			}
			tryCtx, cancel := context.WithTimeout(ctx, policy.TryTimeout)
			m.SetContext(tryCtx)
			_, err := next(m)
			cancel()
			if err == nil {
				return nil, nil
			}
			h.failed()
			if IsPermanent(err) {
				return nil, err
			}
			// While letting go, a failure says little about the message: its context
			// may have ended, or what it needs may be shutting down too.
			if h.leaving() {
				return nil, errors.Join(errReleased, err)
			}
			if h.delivery.Attempt >= policy.MaxAttempts {
				return nil, err
			}
			pause := policy.wait(h.delivery.Attempt)
			trace.SpanFromContext(ctx).AddEvent("try failed", trace.WithAttributes(
				AttrAttempts.Int(h.delivery.Attempt), AttrErrorMessage.String(err.Error())))
			c.log.WarnContext(ctx, "message failed, will try again", "topic", h.delivery.Topic,
				"partition", h.delivery.Partition, "offset", h.delivery.Offset, "message_id", h.delivery.ID,
				"attempt", h.delivery.Attempt, "next_try", pause, "error", err)
			if !h.pause(pause) {
				return nil, errors.Join(errReleased, err)
			}
		}
	}
}
