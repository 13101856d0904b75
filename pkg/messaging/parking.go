package messaging

import (
	"context"
	"errors"
	"fmt"
	"time"

	"millrace/pkg/events"
)

// Parking remembers, durably, which messages of a group have been put aside: into its
// retry topic or the dead letter topic. With it a [Consumer] keeps the order of the
// messages of one key: what comes after a message that was put aside is put aside too,
// until that one is worked off. Package parking keeps it in Postgres.
//
// Order is by the original offset, within one partition of the original topic, where
// all messages of a key are. Every call may come again for the same message.
type Parking interface {
	// Ahead tells what of the same key stands before a message.
	Ahead(ctx context.Context, m Place) (Ahead, error)
	// PutAside records that a message is put aside, before it is. Where it is recorded
	// already, this is where it is now.
	PutAside(ctx context.Context, m Place, where Aside, notBefore time.Time) error
	// WorkedOff forgets a message: it was processed, or given up.
	WorkedOff(ctx context.Context, m Place) error
}

// Place identifies a message by where its original record lies. Key is never nil.
type Place struct {
	Group, Topic string
	Partition    int32
	Offset       int64
	Key          []byte
	// MessageID is what the group's inbox knows the message by.
	MessageID string
}

// Aside is where a message was put.
type Aside string

// Places that a message can be put aside to.
const (
	AsideRetry      Aside = "retry"
	AsideDeadLetter Aside = "dead_letter"
)

// Ahead is what stands before a message.
type Ahead struct {
	// Itself: the message was put aside before. It may go on when nothing is ahead.
	Itself bool
	// Where says where the messages ahead are: empty when there is none, AsideDeadLetter
	// when one of them is a dead letter, which takes people to go on.
	Where Aside
	// Offset is where the first of them lies.
	Offset int64
	// NotBefore is when the first of them is due, if it is in the retry topic.
	NotBefore time.Time
}

// parkedError says that a message must not overtake others.
type parkedError struct {
	place Place
	ahead Ahead
}

func (e *parkedError) Error() string {
	where := "waits to be tried again"
	if e.ahead.Where == AsideDeadLetter {
		where = "is a dead letter"
	}
	return fmt.Sprintf("an earlier message of its key %s: %s/%d/%d", where, e.place.Topic, e.place.Partition, e.ahead.Offset)
}

// minParkedWait paces a parked message on its laps through the retry topic while the
// one ahead of it is at work.
const minParkedWait = time.Second

// parks tells whether a message has to keep the order of its key. One without a key has
// none; one that says nothing readable of its original place has none that is known.
func (c *Consumer) parks(h *inHand) bool {
	return c.config.Parking != nil && h.delivery.Key != nil && h.unfit == nil
}

// inOrder returns nil when a message may go on, a *parkedError while others of its key
// stand ahead. While that cannot be told, it tries on, and the partition stands still:
// to guess would break the order, and it says nothing about the message.
func (c *Consumer) inOrder(ctx context.Context, h *inHand) error {
	if !c.parks(h) {
		return nil
	}
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := c.look(ctx, h)
		var parked *parkedError
		if err == nil || errors.As(err, &parked) {
			return err
		}
		c.log.ErrorContext(ctx, "cannot tell whether earlier messages of the key are worked off, the message waits",
			h.logged("error", err, "next_try", pause)...)
		if h.leaving() || !h.pause(pause) {
			return errors.Join(errReleased, err)
		}
	}
}

func (c *Consumer) look(ctx context.Context, h *inHand) error {
	ctx, cancel := context.WithTimeout(ctx, c.config.Retry.TryTimeout)
	defer cancel()
	place := h.place()
	ahead, err := c.config.Parking.Ahead(ctx, place)
	if err != nil {
		return err
	}
	h.recorded = h.recorded || ahead.Itself
	if ahead.Where != "" {
		return &parkedError{place, ahead}
	}
	return nil
}

// putAside records where a message goes, before it goes there: a crash in between
// leaves the message where it was, and it comes again.
func (c *Consumer) putAside(ctx context.Context, h *inHand, where Aside, notBefore time.Time) error {
	if !c.parks(h) {
		return nil
	}
	if err := c.config.Parking.PutAside(ctx, h.place(), where, notBefore); err != nil {
		return fmt.Errorf("record that the message is put aside: %w", err)
	}
	h.recorded = true
	return nil
}

// workedOff lets the next message of the key go on.
func (c *Consumer) workedOff(ctx context.Context, h *inHand) error {
	if !c.parks(h) || !h.recorded {
		return nil
	}
	if err := c.config.Parking.WorkedOff(ctx, h.place()); err != nil {
		return fmt.Errorf("record that the message is worked off: %w", err)
	}
	return nil
}

func (m *inHand) place() Place {
	d := &m.delivery
	return Place{Group: d.Group, Topic: d.Topic, Partition: d.Partition, Offset: d.Offset, Key: d.Key, MessageID: d.ID}
}

// parkedRetry is the way into the retry topic behind the message ahead.
func (m *inHand) parkedRetry(parked *parkedError) events.Retry {
	r := m.nextRetry(events.RetryParked)
	r.NotBefore = parked.ahead.NotBefore
	if soonest := time.Now().Add(minParkedWait); r.NotBefore.Before(soonest) {
		r.NotBefore = soonest
	}
	return r
}
