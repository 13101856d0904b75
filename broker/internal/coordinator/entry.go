package coordinator

import (
	"sync"
	"time"

	"millrace/broker/internal/group"
)

// entry is one group and who waits for it.
type entry struct {
	shard *shard

	// mu guards all below, and keeps the group's inputs in order.
	mu      sync.Mutex
	g       *group.Group
	waiting map[group.Ref]chan any // replies are sent here, without blocking
	ref     group.Ref
	gone    bool      // no longer in the shard: look the group up again
	armed   time.Time // the deadline that the timers know
	timer   timer
}

func newEntry(s *shard, g *group.Group) *entry {
	e := &entry{shard: s, g: g, waiting: map[group.Ref]chan any{}}
	e.timer = timer{e: e, index: -1}
	return e
}

// step feeds the group and does what it wants done. mu is held.
func (e *entry) step(in group.Input) {
	e.carryOut(e.g.Step(time.Now(), in))
	if !e.g.Known() || e.g.State() == group.Dead {
		e.drop()
		return
	}
	e.arm()
}

func (e *entry) carryOut(effects group.Effects) {
	for _, effect := range effects {
		switch effect := effect.(type) {
		case group.Reply:
			if ch, ok := e.waiting[effect.Ref]; ok {
				delete(e.waiting, effect.Ref)
				ch <- effect.Body
			}
		case group.Persist:
			e.shard.enqueue(e, effect)
		case group.Event:
			e.shard.c.events.Group(e.g.ID(), effect)
		}
	}
}

// arm tells the timers when the next tick is due.
func (e *entry) arm() {
	if at := e.g.Deadline(); !at.Equal(e.armed) {
		e.armed = at
		e.shard.c.timers.set(&e.timer, at)
	}
}

// drop takes the group out: it is deleted, or never came to be.
func (e *entry) drop() {
	if e.gone {
		return
	}
	e.gone = true
	e.shard.c.timers.set(&e.timer, time.Time{})
	e.shard.mu.Lock()
	delete(e.shard.groups, e.g.ID())
	e.shard.mu.Unlock()
}

// tick is called by the timers, which have taken the entry out.
func (e *entry) tick() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone {
		return
	}
	e.armed = time.Time{}
	e.step(group.Tick{})
}
