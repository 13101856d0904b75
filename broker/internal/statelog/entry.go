package statelog

import (
	"sync"
	"time"
)

// Entry is one machine and who waits for it.
type Entry[M, I any] struct {
	ID      string
	Machine M

	shard *shard[M, I] // nil: only answers a question

	// mu guards Machine and all below, and keeps the machine's inputs in order.
	mu      sync.Mutex
	waiting map[uint64]chan any // replies are sent here, without blocking
	ref     uint64
	gone    bool      // no longer in the shard: look the machine up again
	armed   time.Time // the deadline that the timers know
	timer   timer
}

func newEntry[M, I any](s *shard[M, I], id string, m M) *Entry[M, I] {
	e := &Entry[M, I]{ID: id, Machine: m, shard: s, waiting: map[uint64]chan any{}}
	e.timer = timer{tick: e.tick, index: -1}
	return e
}

// Partition is the partition that keeps the machine.
func (e *Entry[M, I]) Partition() int32 { return e.shard.partition }

// Step feeds the machine and looks after its place. The entry is locked: it is for those
// who were given it by Each or EachIn.
func (e *Entry[M, I]) Step(in I) {
	rules := e.shard.r.rules
	rules.Step(e, time.Now(), in)
	if !rules.Exists(e.Machine) {
		e.drop()
		return
	}
	e.arm()
}

// Deliver is Step for those who do not hold the entry's lock, such as goroutines that a
// machine's wishes are carried out in.
func (e *Entry[M, I]) Deliver(in I) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.gone {
		e.Step(in)
	}
}

// Reply answers a request. Rules call it from Step.
func (e *Entry[M, I]) Reply(ref uint64, body any) {
	if ch, ok := e.waiting[ref]; ok {
		delete(e.waiting, ref)
		ch <- body
	}
}

// Write has a batch written for the machine, after all that it has asked for before. Rules
// call it from Step; the machine hears of it by Rules.Written.
func (e *Entry[M, I]) Write(seq uint64, b Batch) {
	if e.shard != nil {
		e.shard.enqueue(queued[M, I]{e: e, seq: seq, batch: b})
	}
}

// arm tells the timers when the next tick is due.
func (e *Entry[M, I]) arm() {
	if e.shard.hasEnded() {
		return
	}
	if at := e.shard.r.rules.Deadline(e.Machine); !at.Equal(e.armed) {
		e.armed = at
		e.shard.r.timers.set(&e.timer, at)
	}
}

// drop takes the machine out: it is deleted, or never came to be.
func (e *Entry[M, I]) drop() {
	if e.gone {
		return
	}
	e.gone = true
	e.shard.r.timers.set(&e.timer, time.Time{})
	e.shard.mu.Lock()
	delete(e.shard.entries, e.ID)
	e.shard.mu.Unlock()
}

// tick is called by the timers, which have taken the entry out.
func (e *Entry[M, I]) tick() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone {
		return
	}
	e.armed = time.Time{}
	e.Step(e.shard.r.rules.Tick())
}
