// Package ackbeforework is a consumer that acknowledges a message when it gets it and works after.
//
// WRONG ON PURPOSE. It breaks: no event without its effect. A message whose handler fails, or whose
// process dies in it, is not delivered again, is in no dead letter topic, and the group's lag says that
// all is well. To see it: fault consume.before-effect=error or =crash; wrong_way_messages_total counts
// the lost ones while the process lives. The right way is messaging.Consumer, which acknowledges after
// the transaction of the effect.
package ackbeforework

import (
	"sync"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"millrace/pkg/wrongway"
	"millrace/pkg/wrongway/plain"
)

// New returns the consumer.
func New(c plain.Config) (*plain.Consumer, error) {
	return plain.New(c, plain.Way{
		Name: wrongway.AckBeforeWork,
		// watermill-kafka then commits at each acknowledgement.
		Sarama: func(s *sarama.Config) { s.Consumer.Offsets.AutoCommit.Enable = false },
		Around: acknowledge,
	})
}

// acknowledge does what Watermill's InstantAck does and waits for the commit, so that the loss is
// certain and not a matter of luck. The messages of a partition keep their order: that is broken
// elsewhere.
func acknowledge(c *plain.Consumer) message.HandlerMiddleware {
	var turns sync.Map // partition → *sync.Mutex
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			partition, _ := kafka.MessagePartitionFromCtx(m.Context())
			turn, _ := turns.LoadOrStore(partition, &sync.Mutex{})
			turn.(*sync.Mutex).Lock()
			defer turn.(*sync.Mutex).Unlock()

			m.Ack()
			<-m.Context().Done() // the subscriber has committed, or is being closed

			if _, err := next(m); err != nil {
				c.Lose(m, "it was acknowledged before the work, and the work failed")
			}
			return nil, nil
		}
	}
}
