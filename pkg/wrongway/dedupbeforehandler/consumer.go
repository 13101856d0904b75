// Package dedupbeforehandler is a consumer with Watermill's Deduplicator before the handler, and no inbox
// in mind.
//
// WRONG ON PURPOSE. It breaks: no event without its effect. The Deduplicator remembers a message before
// the handler runs. If the handler fails, the redelivery is taken for a duplicate and acknowledged
// unhandled. To see it: fault consume.before-effect=error,times=1. The right way is the inbox: the message's id is
// stored in the transaction of the effect, so both are there or neither.
package dedupbeforehandler

import (
	"context"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"millrace/pkg/wrongway"
	"millrace/pkg/wrongway/plain"
)

// New returns the consumer.
func New(c plain.Config) (*plain.Consumer, error) {
	return plain.New(c, plain.Way{Name: wrongway.DedupBeforeHandler, Around: deduplicate})
}

func deduplicate(c *plain.Consumer) message.HandlerMiddleware {
	d := &middleware.Deduplicator{
		KeyFactory: func(m *message.Message) (string, error) { return m.UUID, nil },
		Repository: &memory{ids: make(map[string]bool)},
		Timeout:    time.Second,
	}
	return func(next message.HandlerFunc) message.HandlerFunc {
		return func(m *message.Message) ([]*message.Message, error) {
			called := false
			produced, err := d.Middleware(func(m *message.Message) ([]*message.Message, error) {
				called = true
				return next(m)
			})(m)
			switch {
			case err != nil:
				c.Count(message.SubscribeTopicFromCtx(m.Context()), plain.Nacked)
			case !called:
				c.Lose(m, "the Deduplicator remembers the delivery that failed")
			}
			return produced, err
		}
	}
}

// memory remembers the last ids. Watermill's own repository has a goroutine that never ends.
type memory struct {
	mu   sync.Mutex // guards both
	ids  map[string]bool
	last []string // oldest first
}

// remembered bounds the ids that are kept.
const remembered = 100_000

// IsDuplicate implements middleware.ExpiringKeyRepository: it remembers, and tells whether it did before.
func (r *memory) IsDuplicate(_ context.Context, id string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids[id] {
		return true, nil
	}
	if len(r.last) == remembered {
		delete(r.ids, r.last[0])
		r.last = r.last[1:]
	}
	r.ids[id] = true
	r.last = append(r.last, id)
	return false, nil
}
