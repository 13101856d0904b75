// Package nokey publishes without the record's key.
//
// WRONG ON PURPOSE. It breaks: events of one order are read in their order. Without a key each record goes to
// any partition, so two events of one order are read by two readers, and the second may be done first. To see
// it: kafka-console-consumer --property print.key=true shows null, and one order's events lie in several partitions.
// The right way is messaging.Publisher as it is: the outbox stores the order id as the key.
package nokey

import (
	"github.com/ThreeDotsLabs/watermill/message"

	"millrace/pkg/messaging"
)

// Publisher takes the keys off. It does not close what it wraps.
type Publisher struct{ inner message.Publisher }

// New returns a Publisher round another.
func New(inner message.Publisher) *Publisher { return &Publisher{inner} }

// Publish implements message.Publisher.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	for _, m := range messages {
		delete(m.Metadata, messaging.MetadataKey)
	}
	return p.inner.Publish(topic, messages...)
}

// Close implements message.Publisher.
func (*Publisher) Close() error { return nil }
