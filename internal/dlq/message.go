package dlq

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
)

// original is a message as it was before it became a letter.
type original struct {
	value   []byte
	headers map[string]string
}

// original takes the message out of the letter, or from where it lay at first when the
// letter came without it.
func (c *Client) original(ctx context.Context, l *Letter) (original, error) {
	if l.Problem != nil {
		return original{}, notInForm(l)
	}
	if l.Dead.OriginalMessage != nil {
		return original{l.Dead.OriginalMessage, l.Dead.Headers}, nil
	}
	place, err := c.place(ctx, l)
	if err != nil {
		return original{}, err
	}
	if place.Record == nil || len(place.Differs) > 0 {
		why := place.Gone
		if place.Record != nil {
			why = "another record lies there now"
		}
		return original{}, &RefusedError{
			Letter: l.ID, Field: "original_message",
			Reason: fmt.Sprintf("field original_message is absent, and the record at %s is of no help: %s", l.place(), why),
			Hint:   "Give the message yourself: millrace dlq edit " + l.ID.String() + " --file FILE",
		}
	}
	headers := map[string]string{}
	for _, h := range place.Record.Headers {
		headers[h.Key] = string(h.Value)
	}
	return original{place.Record.Value, headers}, nil
}

func notInForm(l *Letter) error {
	refused := &RefusedError{
		Letter: l.ID, Reason: "it is no dead letter in the form: " + l.Problem.Error(),
		Hint: "docs/dead-letters.md has the form. Look at it: millrace dlq show " + l.ID.String() + "; give it up: millrace dlq discard " + l.ID.String() + " --reason WHY",
	}
	var field *events.FieldError
	if errors.As(l.Problem, &field) {
		refused.Field = field.Field
	}
	return refused
}

func (l *Letter) place() string {
	return events.LetterID{Topic: l.Dead.OriginalTopic, Partition: l.Dead.OriginalPartition, Offset: l.Dead.OriginalOffset}.String()
}

// Place is what lies where a letter's message came from.
type Place struct {
	Record *kgo.Record // nil: it is gone
	Gone   string      // why
	// Differs tells in what the record is another one than the letter says.
	Differs []string
}

// place looks for the original record.
func (c *Client) place(ctx context.Context, l *Letter) (Place, error) {
	d := &l.Dead
	n, err := c.partitions(ctx, d.OriginalTopic)
	if err != nil {
		return Place{}, err
	}
	switch {
	case n == 0:
		return Place{Gone: "there is no topic of that name"}, nil
	case d.OriginalPartition >= n:
		return Place{Gone: fmt.Sprintf("the topic has %d partitions", n)}, nil
	}
	r, err := c.record(ctx, d.OriginalTopic, d.OriginalPartition, d.OriginalOffset)
	if err != nil {
		return Place{}, err
	}
	if r == nil {
		return Place{Gone: "the topic does not hold it; retention or compaction may have removed it"}, nil
	}
	p := Place{Record: r}
	if (d.OriginalKey != nil || d.MessageID != "") && string(d.OriginalKey) != string(r.Key) {
		p.Differs = append(p.Differs, "key")
	}
	if !d.OriginalTimestamp.IsZero() && d.OriginalTimestamp.UnixMilli() != r.Timestamp.UnixMilli() {
		p.Differs = append(p.Differs, "timestamp")
	}
	return p, nil
}

// Payload is what a redrive would send now: the payload of the latest edit, or else the
// original one.
func (c *Client) payload(ctx context.Context, l *Letter, s State) (original, error) {
	if s.Edit == none {
		return c.original(ctx, l)
	}
	edited, err := c.edited(ctx, l, s)
	if err != nil {
		return original{}, err
	}
	headers := l.Dead.Headers
	if l.Dead.OriginalMessage == nil {
		// The headers may be where the message is; without them it is sent all the same.
		if o, err := c.original(ctx, l); err == nil {
			headers = o.headers
		}
	}
	return original{edited, headers}, nil
}

// edited reads the payload of the latest edit.
func (c *Client) edited(ctx context.Context, l *Letter, s State) ([]byte, error) {
	r, err := c.record(ctx, events.TopicDLQAudit, 0, s.Edit)
	if err != nil {
		return nil, err
	}
	if r != nil {
		if a, err := events.DecodeAudit(r.Value); err == nil && a.Action == events.AuditEdit && a.Letter == l.ID {
			return a.Message, nil
		}
	}
	return nil, fmt.Errorf("%s: the edited message is not at offset %d of %s any more", l.ID, s.Edit, events.TopicDLQAudit)
}

// route says where a redriven message goes.
type route func(topic, group string) string

// compose makes the record of a redrive. Value, key and headers are the original ones;
// the message id is, too, so that the inbox of the group knows a message that was done
// after all.
func compose(l *Letter, o original, to target, r events.Retry, edited bool) (*kgo.Record, error) {
	headers := maps.Clone(o.headers)
	if headers == nil {
		headers = map[string]string{}
	}
	for _, name := range events.RetryHeaders() {
		delete(headers, name)
	}
	headers[events.HeaderMessageID] = l.MessageID()
	if _, ok := headers["traceparent"]; !ok && l.Dead.Traceparent != "" {
		headers["traceparent"] = l.Dead.Traceparent
		if l.Dead.Tracestate != "" {
			headers["tracestate"] = l.Dead.Tracestate
		}
	}
	if edited {
		headers[events.HeaderEdited] = "true"
	}
	if to.topic == r.Topic { // the wrong way: its readers expect a record like all others
		headers[events.HeaderRedriveID] = r.RedriveID
	} else {
		maps.Copy(headers, r.Headers())
		if _, _, err := events.ParseRetry(headers); err != nil {
			return nil, &RefusedError{Letter: l.ID, Reason: "its readers would not take it: " + err.Error(), Hint: "docs/dead-letters.md has the form of a letter"}
		}
	}
	record := &kgo.Record{Topic: to.topic, Partition: to.partition, Key: l.Dead.OriginalKey, Value: o.value}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(headers[name])})
	}
	return record, nil
}

// retry describes a redriven message to its group.
func retry(l *Letter, group, redriveID, traceparent string) events.Retry {
	d := &l.Dead
	r := events.Retry{
		Reason: events.RetryRedrive, Topic: d.OriginalTopic, Partition: d.OriginalPartition, Offset: d.OriginalOffset,
		Timestamp: notBefore1970(d.OriginalTimestamp), Group: group, Attempts: min(max(d.Attempts, 0), events.MaxAttempts),
		FirstFailure: notBefore1970(d.FirstFailure), RedriveID: redriveID, RedriveTraceparent: traceparent,
	}
	return r
}

// notBefore1970 drops a time that the headers of a retry topic cannot say.
func notBefore1970(t time.Time) time.Time {
	if t.Unix() < 0 {
		return time.Time{}
	}
	return t
}

// target is where a message goes.
type target struct {
	topic     string
	partition int32
}

// pick chooses the partition as Kafka's producers do: by the key, so that what has one
// key stays in its order; without one, by the original partition.
func pick(l *Letter, partitions int32) int32 {
	if l.Dead.OriginalKey == nil {
		return l.Dead.OriginalPartition % partitions
	}
	return int32(kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: l.Dead.OriginalKey}, int(partitions))) //nolint:gosec // less than partitions
}

// newRedriveID makes an id that nobody else makes.
func newRedriveID() string { return "redrive-" + rand.Text() }
