// Package dualwrite publishes an event after the transaction that it tells of, with nothing stored between
// the two.
//
// WRONG ON PURPOSE. It breaks: no order without its event. A transaction in Postgres and a record in
// Kafka are two writes, and whatever comes between them (a crash, a broker that is away, an error)
// leaves the first without the second, for ever. The other order, first the event, then the commit, leaves an
// event of an order that does not exist. To see it: fault order.after-commit=error or =crash, or stop the broker, and place an order: it is
// there, it stays PENDING, and no outbox row waits to mend it. The right way is the outbox: the event is a row of the same transaction.
package dualwrite

import (
	"context"
	"errors"
	"maps"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"

	"millrace/pkg/messaging"
	"millrace/pkg/messaging/outbox"
)

// Outbox takes the place of an outbox.Writer and stores nothing: messages are kept in memory, in the
// [Pending] of the context, until the caller publishes them.
type Outbox struct{}

// Pending are messages that nobody has stored. It is for one goroutine.
type Pending struct{ messages []outbox.Message }

type pendingKey struct{}

// Begin returns a context whose messages Pending takes.
func Begin(ctx context.Context) (context.Context, *Pending) {
	p := &Pending{}
	return context.WithValue(ctx, pendingKey{}, p), p
}

// Queue has the form of outbox.Writer's and adds nothing to the batch.
func (Outbox) Queue(ctx context.Context, _ *pgx.Batch, m outbox.Message) error {
	p, ok := ctx.Value(pendingKey{}).(*Pending)
	if !ok {
		return errors.New("dual write: the context has no Pending")
	}
	p.messages = append(p.messages, m)
	return nil
}

// Publish sends the messages. What fails is not tried again, by anyone.
func (p *Pending) Publish(ctx context.Context, publisher message.Publisher) error {
	for _, stored := range p.messages {
		m := message.NewMessageWithContext(ctx, watermill.NewUUID(), stored.Payload)
		maps.Copy(m.Metadata, stored.Headers)
		if stored.Key != nil {
			m.Metadata[messaging.MetadataKey] = string(stored.Key)
		}
		if err := publisher.Publish(stored.Topic, m); err != nil {
			return err
		}
	}
	return nil
}
