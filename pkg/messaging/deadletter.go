package messaging

import (
	"errors"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"millrace/pkg/events"
)

// deadLetter sends what failed for good to the topic's dead letter topic. While that
// cannot be written, it tries on, with bounded waits, and the partition stands still;
// it lets go of the message when a rebalance or a shutdown wants it.
func (c *Consumer) deadLetter(next message.HandlerFunc) message.HandlerFunc {
	return func(m *message.Message) ([]*message.Message, error) {
		_, err := next(m)
		if err == nil || errors.Is(err, errReleased) {
			return nil, err
		}
		h := inHandOf(m)
		letter := h.letter(err)
		topic := events.DeadLetterTopic(h.delivery.Topic)
		log := c.log.With("topic", h.delivery.Topic, "partition", h.delivery.Partition, "offset", h.delivery.Offset,
			"message_id", h.delivery.ID, "attempts", letter.Attempts, "class", letter.ErrorClass)
		for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
			publishErr := c.publishLetter(m, topic, letter)
			if publishErr == nil {
				log.ErrorContext(m.Context(), "message went to the dead letter topic", "error", err)
				c.metrics.deadLetters.WithLabelValues(h.delivery.Group, h.delivery.Topic, string(letter.ErrorClass)).Inc()
				return nil, err
			}
			if errors.Is(publishErr, sarama.ErrMessageSizeTooLarge) && letter.OriginalMessage != nil {
				// The letter is larger than the message, which still lies where it was.
				log.ErrorContext(m.Context(), "dead letter is too large, it goes without the original message", "error", publishErr)
				letter.OriginalMessage, letter.Headers, letter.Omitted = nil, nil, true
				letter.Error += " (original_message is left out: the dead letter would be too large)"
				continue
			}
			log.ErrorContext(m.Context(), "dead letter topic cannot be written, the message stays unacknowledged", "error", publishErr, "next_try", pause)
			if h.leaving() || !h.pause(pause) {
				return nil, errors.Join(errReleased, err)
			}
		}
	}
}

// publishLetter sends a dead letter as a child of the process span.
func (c *Consumer) publishLetter(failed *message.Message, topic string, letter events.DeadLetter) error {
	payload, err := events.EncodeDeadLetter(letter)
	if err != nil {
		return err
	}
	m := message.NewMessageWithContext(failed.Context(), watermill.NewUUID(), payload)
	m.Metadata[events.HeaderContentType] = events.ContentType
	if letter.OriginalKey != nil {
		m.Metadata[MetadataKey] = string(letter.OriginalKey)
	}
	return c.config.DeadLetters.Publish(topic, m)
}

func (m *inHand) letter(err error) events.DeadLetter {
	d := &m.delivery
	return events.DeadLetter{
		OriginalMessage:   d.Payload,
		Error:             shorten(err.Error()),
		OriginalTopic:     d.Topic,
		OriginalPartition: d.Partition,
		OriginalOffset:    d.Offset,
		Group:             d.Group,
		Attempts:          d.Attempt,
		FirstFailure:      m.firstFailure,
		LastFailure:       m.lastFailure,
		ErrorClass:        classOf(err),
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
