package wire

import (
	"context"
	"sync"
)

// Budget bounds the bytes of requests that are in memory at one time, over all
// connections (Kafka's queued.max.request.bytes). Like Kafka's memory pool it
// is not strict: who comes while anything is left gets all it asks for, so that
// a request larger than the whole budget still passes, alone.
type Budget struct {
	mu      sync.Mutex // guards all below
	limit   int64
	used    int64
	waiters []chan struct{} // first come, first served
}

// NewBudget returns a budget of limit bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Acquire takes n bytes, and waits while the budget is exhausted.
func (b *Budget) Acquire(ctx context.Context, n int64) error {
	b.mu.Lock()
	if len(b.waiters) == 0 && b.used < b.limit {
		b.used += n
		b.mu.Unlock()
		return nil
	}
	turn := make(chan struct{}, 1)
	b.waiters = append(b.waiters, turn)
	b.mu.Unlock()
	for {
		select {
		case <-turn:
			b.mu.Lock()
			if b.used < b.limit {
				b.used += n
				b.leave(turn)
				b.mu.Unlock()
				return nil
			}
			b.mu.Unlock()
		case <-ctx.Done():
			b.mu.Lock()
			b.leave(turn)
			b.mu.Unlock()
			return context.Cause(ctx)
		}
	}
}

// Take counts n bytes without waiting: for what is too small to make wait.
func (b *Budget) Take(n int64) {
	b.mu.Lock()
	b.used += n
	b.mu.Unlock()
}

// Release gives n bytes back.
func (b *Budget) Release(n int64) {
	b.mu.Lock()
	b.used -= n
	b.wakeFirst()
	b.mu.Unlock()
}

// Used returns the bytes that are taken now.
func (b *Budget) Used() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// leave removes turn from the queue and passes on what its wake-up was for.
func (b *Budget) leave(turn chan struct{}) {
	for i, w := range b.waiters {
		if w == turn {
			b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
			break
		}
	}
	b.wakeFirst()
}

func (b *Budget) wakeFirst() {
	if len(b.waiters) > 0 && b.used < b.limit {
		select {
		case b.waiters[0] <- struct{}{}:
		default:
		}
	}
}
