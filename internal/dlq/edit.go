package dlq

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
)

// SetPaths changes a JSON message: each change is PATH=VALUE, as items[0].quantity=2. A
// value that is no JSON is taken as a string.
func SetPaths(message []byte, changes []string) ([]byte, error) {
	root, err := parseJSON(message)
	if err != nil {
		return nil, fmt.Errorf("the message has no fields to set: %w", err)
	}
	for _, change := range changes {
		path, text, ok := strings.Cut(change, "=")
		if !ok {
			return nil, fmt.Errorf("%q is not of the form PATH=VALUE, as items[0].quantity=2", change)
		}
		value, err := parseValue(text)
		if err != nil {
			return nil, fmt.Errorf("value of %s: %w", path, err)
		}
		if err := root.set(path, value); err != nil {
			return nil, err
		}
	}
	return root.appendTo(nil), nil
}

// Current is the payload that a redrive would send now.
func (c *Client) Current(ctx context.Context, f Found) ([]byte, error) {
	if err := editable(f); err != nil {
		return nil, err
	}
	return c.Message(ctx, f)
}

// Message is the payload that a redrive would send, whatever the letter's status.
func (c *Client) Message(ctx context.Context, f Found) ([]byte, error) {
	o, err := c.payload(ctx, f.Letter, f.State)
	return o.value, err
}

// editable tells why a letter cannot be edited.
func editable(f Found) error {
	id := f.Letter.ID.String()
	switch {
	case f.Letter.Problem != nil:
		return notInForm(f.Letter)
	case f.State.Status == Redriving:
		return &RefusedError{Letter: f.Letter.ID, Reason: "a redrive of it has begun and has not ended", Hint: "End it first: millrace dlq redrive " + id}
	case f.State.Status == Discarded:
		return &RefusedError{Letter: f.Letter.ID, Reason: "it is discarded", Hint: "Take that back first: millrace dlq discard --undo " + id}
	}
	return nil
}

// Edit stores a payload that the next redrive sends instead of the original one. The
// letter stays as it is. An edit that breaks the rules of its event is refused.
func (c *Client) Edit(ctx context.Context, f Found, edited []byte, reason string) (State, error) {
	if err := editable(f); err != nil {
		return f.State, err
	}
	// Where the message is lost for good there is nothing to compare with.
	if o, err := c.payload(ctx, f.Letter, f.State); err == nil && bytes.Equal(o.value, edited) {
		return f.State, &RefusedError{Letter: f.Letter.ID, Reason: "the message is the same as before; nothing was stored"}
	}
	if err := checkEdit(f.Letter, edited); err != nil {
		return f.State, err
	}
	if edited == nil {
		edited = []byte{}
	}
	return c.writeOne(ctx, f.Letter, events.Audit{Action: events.AuditEdit, MessageID: f.Letter.MessageID(), Reason: reason, Message: edited})
}

// checkEdit holds an edited payload against the schema, when the message is, or says
// that it is, one of the shop's events.
func checkEdit(l *Letter, edited []byte) error {
	refuse := func(field, reason string) error {
		return &RefusedError{Letter: l.ID, Field: field, Reason: "the edit is refused: " + reason, Hint: "Nothing was changed. pkg/events/asyncapi.yaml has the form of the events."}
	}
	d := &l.Dead
	ours := slices.Contains([]string{events.TopicOrders, events.TopicInventory, events.TopicStock}, d.OriginalTopic)
	headerType := events.Type(d.Headers[events.HeaderEventType])
	e, err := events.Decode(edited)
	var unknown *events.UnknownTypeError
	if errors.As(err, &unknown) && !ours && !slices.Contains(events.Types(), headerType) {
		return nil // somebody else's message
	}
	var syntax *events.SyntaxError
	if errors.As(err, &syntax) && !ours && !slices.Contains(events.Types(), headerType) {
		return nil
	}
	var field *events.FieldError
	switch {
	case errors.As(err, &field):
		return refuse(field.Field, err.Error())
	case unknown != nil:
		return refuse("event_type", err.Error()+", want one of "+fmt.Sprint(events.Types()))
	case err != nil:
		return refuse("", err.Error())
	}
	if err := events.CheckVersion(d.Headers[events.HeaderEventVersion]); err != nil {
		return refuse(events.HeaderEventVersion, err.Error())
	}
	if headerType != "" && headerType != e.Type() {
		return refuse("event_type", fmt.Sprintf("field event_type must stay %s, as the header says, is %s", headerType, e.Type()))
	}
	if ours && e.Topic() != d.OriginalTopic {
		return refuse("event_type", fmt.Sprintf("field event_type must be of topic %s, is %s", d.OriginalTopic, e.Type()))
	}
	if ours && d.OriginalKey != nil && e.Key() != string(d.OriginalKey) {
		return refuse("order_id", fmt.Sprintf("field order_id must stay %s, the key of the record, is %s", Shorten(string(d.OriginalKey), 60), Shorten(e.Key(), 60)))
	}
	return nil
}

// Discard says that a letter is not to be sent again, and tells its group, which may
// hold back later events of the same key until it knows. Done twice, it tells the group
// once more: the first one may have died in between. told is false when there is no
// retry topic, or no group, to tell it by.
func (c *Client) Discard(ctx context.Context, f Found, reason string) (s State, told bool, err error) {
	if s, err = c.discard(ctx, f, reason); err != nil {
		return s, false, err
	}
	told, err = c.tell(ctx, f)
	if err != nil {
		err = fmt.Errorf("%s is discarded, but its group does not know yet (run it again): %w", f.Letter.ID, err)
	}
	return s, told, err
}

// tell sends the notice of a discard to the group's retry topic.
func (c *Client) tell(ctx context.Context, f Found) (told bool, err error) {
	l := f.Letter
	topic := events.RetryTopic(l.Dead.OriginalTopic, l.Dead.Group)
	if l.Problem != nil || l.Dead.Group == "" || !events.ValidTopic(topic) {
		return false, nil //nolint:nilerr // that the letter is not in the form is why nobody is told
	}
	n, err := c.partitions(ctx, topic)
	if err != nil || n == 0 {
		return false, err
	}
	notice := retry(l, l.Dead.Group, "", "")
	notice.Reason = events.RetryDiscard
	record, err := compose(l, original{l.Dead.OriginalMessage, l.Dead.Headers}, target{topic, pick(l, n)}, notice, false)
	if err != nil {
		return false, err
	}
	return true, c.produce(ctx, []*kgo.Record{record})[0].err
}

func (c *Client) discard(ctx context.Context, f Found, reason string) (State, error) {
	id := f.Letter.ID.String()
	switch f.State.Status {
	case Redriving:
		return f.State, &RefusedError{Letter: f.Letter.ID, Reason: "a redrive of it has begun and has not ended", Hint: "End it first: millrace dlq redrive " + id}
	case Redriven:
		return f.State, &RefusedError{Letter: f.Letter.ID, Reason: fmt.Sprintf("it was redriven by %s; there is nothing to discard", f.State.Who), Hint: "See what was done: millrace dlq show " + id}
	case Discarded:
		return f.State, nil
	}
	return c.writeOne(ctx, f.Letter, events.Audit{Action: events.AuditDiscard, MessageID: f.Letter.MessageID(), Group: f.Letter.Dead.Group, Reason: reason})
}

// Restore takes a discard back.
func (c *Client) Restore(ctx context.Context, f Found, reason string) (State, error) {
	if f.State.Status != Discarded {
		return f.State, &RefusedError{Letter: f.Letter.ID, Reason: fmt.Sprintf("it is not discarded, it is %s", f.State.Status)}
	}
	return c.writeOne(ctx, f.Letter, events.Audit{Action: events.AuditRestore, MessageID: f.Letter.MessageID(), Reason: reason})
}
