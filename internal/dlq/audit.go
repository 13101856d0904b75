package dlq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
)

// auditTopic is the audit topic as it has to be.
func auditTopic() events.Topic {
	topics := events.Topics()
	return topics[slices.IndexFunc(topics, func(t events.Topic) bool { return t.Name == events.TopicDLQAudit })]
}

// load reads the audit topic from its first record on. The states of letters that no
// topic of dlq holds any more are left out.
func (c *Client) load(ctx context.Context, dlq []extent) error {
	first := map[string]map[int32]int64{}
	for _, e := range dlq {
		if first[e.topic] == nil {
			first[e.topic] = map[int32]int64{}
		}
		first[e.topic][e.partition] = e.from
	}
	c.ledger = NewLedger(func(id events.LetterID) bool {
		from, ok := first[id.Topic][id.Partition]
		return ok && id.Offset >= from
	})
	return c.readAudit(ctx, func(r *kgo.Record) { c.ledger.Add(r.Offset, r.Value) })
}

// readAudit hands all audit records to visit.
func (c *Client) readAudit(ctx context.Context, visit func(*kgo.Record)) error {
	n, err := c.partitions(ctx, events.TopicDLQAudit)
	if err != nil || n == 0 {
		return err
	}
	if n != 1 {
		return fmt.Errorf("topic %s has %d partitions, it must have 1: the order of its records is what tells who came first", events.TopicDLQAudit, n)
	}
	extents, err := c.extents(ctx, events.TopicDLQAudit)
	if err != nil {
		return err
	}
	return c.read(ctx, extents, func(r *kgo.Record) error {
		visit(r)
		return nil
	})
}

// follow reads the audit topic on, up to the record before an offset.
func (c *Client) follow(ctx context.Context, to int64) error {
	return c.read(ctx, []extent{{events.TopicDLQAudit, 0, c.ledger.next, to}}, func(r *kgo.Record) error {
		c.ledger.Add(r.Offset, r.Value)
		return nil
	})
}

// catchUp reads the audit topic on to what is its end now.
func (c *Client) catchUp(ctx context.Context) error {
	extents, err := c.extents(ctx, events.TopicDLQAudit)
	if err != nil {
		return err
	}
	return c.follow(ctx, extents[0].to)
}

// ensureAudit makes the audit topic where there is none yet.
func (c *Client) ensureAudit(ctx context.Context) error {
	n, err := c.partitions(ctx, events.TopicDLQAudit)
	if err != nil || n > 0 {
		return err
	}
	return c.createTopic(ctx, auditTopic())
}

// write appends audit records and waits until the broker has them (acks=all). It fills
// in who and when.
func (c *Client) write(ctx context.Context, audits []events.Audit) ([]produced, error) {
	if err := c.ensureAudit(ctx); err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	records := make([]*kgo.Record, len(audits))
	for i := range audits {
		a := &audits[i]
		a.Who, a.When = c.config.Who, now
		payload, err := events.EncodeAudit(*a)
		if err != nil {
			return nil, err
		}
		records[i] = &kgo.Record{
			Topic: events.TopicDLQAudit, Key: []byte(a.Letter.String()), Value: payload, Timestamp: now,
			Headers: []kgo.RecordHeader{{Key: events.HeaderContentType, Value: []byte(events.ContentType)}},
		}
	}
	return c.produce(ctx, records), nil
}

// writeOne appends one record, reads back, and tells whether it counts.
func (c *Client) writeOne(ctx context.Context, l *Letter, a events.Audit) (State, error) {
	a.Letter, a.LetterTimestamp = l.ID, l.Timestamp
	written, err := c.write(ctx, []events.Audit{a})
	if err == nil {
		err = written[0].err
	}
	if err != nil {
		if errors.Is(err, kerr.MessageTooLarge) {
			return State{}, fmt.Errorf("write to %s: %w; the largest message that it takes is its setting max.message.bytes", events.TopicDLQAudit, err)
		}
		return State{}, fmt.Errorf("write to %s: %w", events.TopicDLQAudit, err)
	}
	// Up to the record before ours, to see what it meets; then ours.
	if err := c.follow(ctx, written[0].offset); err != nil {
		return State{}, err
	}
	before := c.ledger.State(l.ID, l.Timestamp)
	if void := before.Apply(written[0].offset, &a); void != "" {
		return State{}, &RefusedError{Letter: l.ID, Reason: "somebody was faster: " + void, Hint: "See what was done: millrace dlq show " + l.ID.String()}
	}
	return before, nil
}

// RefusedError says why something is not done with a letter, and what to do. Nothing
// was changed.
type RefusedError struct {
	Letter events.LetterID
	Reason string
	// Field is the field of the letter, or of the edited message, that is to blame.
	Field string
	Hint  string
}

func (e *RefusedError) Error() string { return e.Letter.String() + ": " + e.Reason }
