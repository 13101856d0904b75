package replica

import "sync/atomic"

// Waiter waits until enough bytes may be read in any of the partitions that it
// watches. It is for one use by one goroutine:
//
//	mark := p.Mark(); read p; not enough
//	w := NewWaiter(missing); p.Watch(w, mark); defer p.Unwatch(w)
//	<-w.C
type Waiter struct {
	C    <-chan struct{} // receives once when there is enough, or something else changed
	c    chan struct{}
	need atomic.Int64
}

// NewWaiter returns a waiter for that many bytes.
func NewWaiter(bytes int64) *Waiter {
	c := make(chan struct{}, 1)
	w := &Waiter{C: c, c: c}
	w.need.Store(bytes)
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

// Mark returns a position in the bytes that became readable, for Watch. It is taken before reading.
func (p *Partition) Mark() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.readable
}

// Watch tells w of bytes that become readable, those since mark included.
func (p *Partition) Watch(w *Waiter, mark int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiters = append(p.waiters, w)
	if since := p.readable - mark; since > 0 {
		w.arrived(since)
	}
	if p.gone {
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
