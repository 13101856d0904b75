package messaging

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"millrace/pkg/events"
	"millrace/pkg/fault"
)

// settled does what the outcome asks for before the message is acknowledged: what
// failed for good goes to the dead letter topic, what is to be tried later to the
// group's retry topic. While that cannot be written, it tries on, with bounded waits,
// and the partition stands still; it lets go of the message when a rebalance or a
// shutdown wants it.
func (c *Consumer) settled(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		h := inHandOf(m)
		switch {
		case h.unfit == nil && h.retry.NotBefore.After(time.Now()):
			h.outcome, h.again = outcomePostponed, h.retry
		case h.retry.Reason == events.RetryDiscard:
			h.outcome = outcomeDiscarded
		default:
			_, _ = next(m)
		}
		for pause := 100 * time.Millisecond; h.outcome != outcomeReleased; pause = min(2*pause, 5*time.Second) {
			err := c.settle(m, h)
			if err == nil {
				return nil, nil
			}
			c.log.ErrorContext(m.Context(), "message cannot be settled, it stays unacknowledged",
				h.logged("outcome", h.outcome, "error", err, "next_try", pause)...)
			if h.leaving() || !h.pause(pause) {
				h.outcome = outcomeReleased
			}
		}
		return nil, nil
	}
}

// settle may be called again for the same message when it has failed.
func (c *Consumer) settle(m *message.Message, h *inHand) error {
	switch h.outcome {
	case outcomeDelayed, outcomeParked:
		err := c.putOff(m, h)
		if isTooLarge(err) {
			c.log.ErrorContext(m.Context(), "message is too large for the retry topic", h.logged("error", err)...)
			h.outcome = outcomeDeadLetter
			return c.giveUp(m, h)
		}
		return err
	case outcomePostponed:
		return c.publishAgain(m, h)
	case outcomeDeadLetter:
		return c.giveUp(m, h)
	default:
		return c.workedOff(m.Context(), h)
	}
}

// putOff sends the message to the group's own retry topic.
func (c *Consumer) putOff(m *message.Message, h *inHand) error {
	ctx := m.Context()
	if err := c.putAside(ctx, h, AsideRetry, h.again.NotBefore); err != nil {
		return err
	}
	if err := c.config.Faults.Hit(ctx, fault.RetryBeforePublish, h.attrs()...); err != nil {
		return err
	}
	if err := c.publishAgain(m, h); err != nil {
		return err
	}
	c.log.WarnContext(ctx, "message went to the retry topic",
		h.logged("reason", h.again.Reason, "not_before", h.again.NotBefore, "error", h.err)...)
	return c.config.Faults.Hit(ctx, fault.RetryAfterPublish, h.attrs()...)
}

// publishAgain sends the original record to the retry topic, with h.again in headers.
func (c *Consumer) publishAgain(m *message.Message, h *inHand) error {
	d := &h.delivery
	record := message.NewMessageWithContext(m.Context(), m.UUID, d.Payload)
	maps.Copy(record.Metadata, withoutRetry(d.Headers))
	maps.Copy(record.Metadata, h.again.Headers())
	if d.Key != nil {
		record.Metadata[MetadataKey] = string(d.Key)
	}
	return c.config.DeadLetters.Publish(events.RetryTopic(d.Topic, d.Group), record)
}

// giveUp sends the message to the dead letter topic.
func (c *Consumer) giveUp(m *message.Message, h *inHand) error {
	ctx := m.Context()
	if err := c.putAside(ctx, h, AsideDeadLetter, time.Time{}); err != nil {
		return err
	}
	if err := c.config.Faults.Hit(ctx, fault.DeadLetterBeforePublish, h.attrs()...); err != nil {
		return err
	}
	letter := h.letter()
	err := c.publishLetter(ctx, h, letter)
	if isTooLarge(err) {
		// The letter is larger than the message, which still lies where it was.
		c.log.ErrorContext(ctx, "dead letter is too large, it goes without the original message", h.logged("error", err)...)
		letter.OriginalMessage, letter.Headers, letter.Omitted = nil, nil, true
		letter.Error += " (original_message is left out: the dead letter would be too large)"
		err = c.publishLetter(ctx, h, letter)
	}
	if err != nil {
		return err
	}
	c.log.ErrorContext(ctx, "message went to the dead letter topic", h.logged("class", letter.ErrorClass, "error", h.err)...)
	c.metrics.deadLetters.WithLabelValues(h.delivery.Group, h.intake.topic, string(letter.ErrorClass)).Inc()
	return c.config.Faults.Hit(ctx, fault.DeadLetterAfterPublish, h.attrs()...)
}

// isTooLarge tells whether the broker, or the client for it, refuses a record's size.
func isTooLarge(err error) bool {
	var refusedByClient sarama.ConfigurationError // all that it can mean when a record is sent
	return errors.Is(err, sarama.ErrMessageSizeTooLarge) || errors.As(err, &refusedByClient)
}

// publishLetter sends a dead letter as a child of the process span.
func (c *Consumer) publishLetter(ctx context.Context, h *inHand, letter events.DeadLetter) error {
	payload, err := events.EncodeDeadLetter(letter)
	if err != nil {
		return err
	}
	m := message.NewMessageWithContext(ctx, watermill.NewUUID(), payload)
	m.Metadata[events.HeaderContentType] = events.ContentType
	if letter.OriginalKey != nil {
		m.Metadata[MetadataKey] = string(letter.OriginalKey)
	}
	return c.config.DeadLetters.Publish(events.DeadLetterTopic(h.intake.original), m)
}

func (m *inHand) letter() events.DeadLetter {
	d := &m.delivery
	return events.DeadLetter{
		OriginalMessage:   d.Payload,
		Error:             shorten(m.err.Error()),
		OriginalTopic:     d.Topic,
		OriginalPartition: d.Partition,
		OriginalOffset:    d.Offset,
		Group:             d.Group,
		Attempts:          d.Attempt,
		FirstFailure:      m.firstFailure,
		LastFailure:       m.lastFailure,
		ErrorClass:        classOf(m.err),
		OriginalKey:       d.Key,
		OriginalTimestamp: d.Timestamp,
		MessageID:         d.ID,
		Headers:           d.Headers,
		Traceparent:       d.Headers["traceparent"],
		Tracestate:        d.Headers["tracestate"],
	}
}

// shorten keeps an error within a few lines of a stack.
func shorten(text string) string {
	const limit = 4 << 10
	if len(text) > limit {
		return text[:limit] + "…"
	}
	return text
}
