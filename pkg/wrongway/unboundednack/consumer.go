// Package unboundednack is a consumer that gives a failed message back at once, for as long as it fails.
//
// WRONG ON PURPOSE. It breaks: one bad message does not hold up the others, nor the group. watermill-kafka
// redelivers a message that was not acknowledged every 100 ms and looks at nothing else: not at the
// partition's next message, not at a rebalance that has begun. To see it: one order whose handler always
// fails (fault consume.before-effect=error): its partition stands still, and an instance that is added gets nothing
// before the rebalance timeout is over. The right way is messaging.Consumer: three tries, then the dead letter topic, and
// a message in hand is let go of when a rebalance begins.
package unboundednack

import (
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"millrace/pkg/wrongway"
	"millrace/pkg/wrongway/plain"
)

// RebalanceTimeout is what the group waits for a member that does not come. The shop's own and Kafka's
// default is a minute; this one is shorter only so that the wait can be watched to its end.
const RebalanceTimeout = 10 * time.Second

// New returns the consumer.
func New(c plain.Config) (*plain.Consumer, error) {
	return plain.New(c, plain.Way{
		Name:   wrongway.UnboundedNack,
		Sarama: func(s *sarama.Config) { s.Consumer.Group.Rebalance.Timeout = RebalanceTimeout },
		Around: giveBack,
	})
}

// giveBack lets the error go to Watermill, which Nacks.
func giveBack(c *plain.Consumer) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			produced, err := next(m)
			if err != nil {
				c.Count(message.SubscribeTopicFromCtx(m.Context()), plain.Nacked)
			}
			return produced, err
		}
	}
}
