package replica

import (
	"sync/atomic"

	"millrace/broker/internal/record"
)

// Waiter waits until enough bytes may be read in any of the partitions that it
// watches. It is for one use by one goroutine:
//
//	mark := p.Mark(); read p; not enough
//	w := NewWaiter(missing); p.Watch(w, mark); defer p.Unwatch(w)
//	<-w.C
//
// One for committed records is woken whenever the last stable offset has moved,
// however few bytes that is: its owner has to look.
type Waiter struct {
	C         <-chan struct{} // receives once when there is enough, or something else changed
	c         chan struct{}
	need      atomic.Int64
	committed bool
}

// NewWaiter returns a waiter for that many bytes.
func NewWaiter(bytes int64) *Waiter {
	c := make(chan struct{}, 1)
	w := &Waiter{C: c, c: c}
	w.need.Store(bytes)
	return w
}

// NewCommittedWaiter returns a waiter for records that are decided.
func NewCommittedWaiter() *Waiter {
	w := NewWaiter(0)
	w.committed = true
	return w
}

// arrived counts bytes; who brings the count to nothing wakes the waiter.
func (w *Waiter) arrived(bytes int64) {
	if w.need.Add(-bytes) <= 0 {
		w.fire()
	}
}

func (w *Waiter) fire() {
	select {
	case w.c <- struct{}{}:
	default:
	}
}

// Mark is what a partition had when it was read.
type Mark struct {
	readable int64
	stable   record.Offset
}

// Mark returns how far the partition is, for Watch. It is taken before reading.
func (p *Partition) Mark() Mark {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Mark{p.readable, p.stable}
}

// Watch tells w of what becomes readable, or decided, what came since mark included.
func (p *Partition) Watch(w *Waiter, mark Mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiters = append(p.waiters, w)
	if since := p.readable - mark.readable; since > 0 && !w.committed {
		w.arrived(since)
	}
	if p.gone || w.committed && p.stable > mark.stable {
		w.fire()
	}
}

// Unwatch ends Watch.
func (p *Partition) Unwatch(w *Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, o := range p.waiters {
		if o == w {
			last := len(p.waiters) - 1
			p.waiters[i], p.waiters[last] = p.waiters[last], nil
			p.waiters = p.waiters[:last]
			return
		}
	}
}

// wakeAll wakes every waiter, whatever it waits for.
func (p *Partition) wakeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.waiters {
		w.fire()
	}
}
