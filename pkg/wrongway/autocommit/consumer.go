// Package autocommit is a consumer whose offsets a timer commits for all that was fetched.
//
// WRONG ON PURPOSE. It breaks: no event without its effect. It is what enable.auto.commit does to a
// consumer that hands records to workers: each is marked when it is fetched, and the timer commits what is
// marked, whatever became of it. A failed message does not come again; a process that dies loses all that
// it had fetched and not finished. To see it: fault consume.before-effect=delay, place orders, and kill the service:
// the group's lag is 0 and the effects are missing. The right way is messaging.Consumer: a record is marked when its effect
// is committed, and the timer commits those.
package autocommit

import (
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"millrace/pkg/wrongway"
	"millrace/pkg/wrongway/plain"
)

const (
	// every is short, so that one need not wait for Kafka's default of 5 s.
	every = 500 * time.Millisecond
	// fetched bounds the records that wait for the handler, as max.poll.records does.
	fetched = 500
)

// New returns the consumer.
func New(c plain.Config) (*plain.Consumer, error) {
	return plain.New(c, plain.Way{
		Name:    wrongway.AutoCommit,
		Sarama:  func(s *sarama.Config) { s.Consumer.Offsets.AutoCommit.Interval = every },
		Session: func(h sarama.ConsumerGroupHandler) sarama.ConsumerGroupHandler { return eager{h} },
		Around:  swallow,
	})
}

// swallow goes on after a failure: the offset goes on too.
func swallow(c *plain.Consumer) message.HandlerMiddleware {
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			if _, err := next(m); err != nil {
				c.Lose(m, "the timer commits its offset, whatever became of it")
			}
			return nil, nil
		}
	}
}

// eager marks records when they are fetched.
type eager struct{ sarama.ConsumerGroupHandler }

// ConsumeClaim implements sarama.ConsumerGroupHandler.
func (h eager) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	waiting := make(chan *sarama.ConsumerMessage, fetched)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(waiting)
		for m := range c.Messages() {
			s.MarkMessage(m, "")
			select {
			case waiting <- m:
			case <-s.Context().Done():
				return
			}
		}
	}()
	err := h.ConsumerGroupHandler.ConsumeClaim(s, claim{c, waiting})
	<-s.Context().Done() // to return would end the session of the others
	<-done
	return err
}

// claim is a claim whose records have been marked.
type claim struct {
	sarama.ConsumerGroupClaim
	waiting <-chan *sarama.ConsumerMessage
}

func (c claim) Messages() <-chan *sarama.ConsumerMessage { return c.waiting }
