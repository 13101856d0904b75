package messaging

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"millrace/pkg/events"
)

// MetadataKey is the metadata entry of a Watermill message that holds the record
// key. It does not travel as a header. Without it a record has no key.
const MetadataKey = "_millrace_key"

// NewMessage returns a Watermill message with a fresh id and the given record key.
func NewMessage(ctx context.Context, key string, payload []byte) *message.Message {
	m := message.NewMessageWithContext(ctx, watermill.NewUUID(), payload)
	m.Metadata.Set(MetadataKey, key)
	return m
}

// NewEventMessage encodes an event and returns it as a Watermill message with its
// key and headers, to be published to e.Topic().
func NewEventMessage(ctx context.Context, e events.Event) (*message.Message, error) {
	payload, err := events.Encode(e)
	if err != nil {
		return nil, err
	}
	m := NewMessage(ctx, e.Key(), payload)
	for name, value := range events.Headers(e) {
		m.Metadata.Set(name, value)
	}
	return m, nil
}

// Delivery is a message as a [Handler] gets it. The handler must not keep or change
// Key, Headers and Payload after it has returned.
type Delivery struct {
	// ID identifies the message for the inbox: the producer's message id, or
	// topic/partition/offset when a foreign producer has sent none.
	ID        string
	Group     string
	Topic     string
	Partition int32
	Offset    int64
	// Key is nil when the record has none.
	Key       []byte
	Headers   map[string]string
	Payload   []byte
	Timestamp time.Time
	// Attempt counts the tries of this delivery, from 1.
	Attempt int
}

// Handler does the work for one message. The context carries the process span; it
// outlives the start of a shutdown, so that the message in hand can be finished, and
// ends when the time limit of the try is over or the shutdown's patience is.
//
// nil acknowledges the message. An error leads to another try, unless it is
// [Permanent], and in the end to the dead letter topic.
type Handler func(ctx context.Context, d *Delivery) error

// EventHandler returns a Handler that reads the payload as an event. What cannot be
// read goes to the dead letter topic at once, as class "unreadable".
func EventHandler(handle func(ctx context.Context, e events.Event, d *Delivery) error) Handler {
	return func(ctx context.Context, d *Delivery) error {
		if err := events.CheckVersion(d.Headers[events.HeaderEventVersion]); err != nil {
			return unreadable(err)
		}
		e, err := events.Decode(d.Payload)
		if err != nil {
			return unreadable(err)
		}
		return handle(ctx, e, d)
	}
}
