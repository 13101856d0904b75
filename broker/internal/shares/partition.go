package shares

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/share"
	"millrace/broker/internal/sharestate"
)

// Partition is one partition as a share group reads it. It is safe for concurrent use.
type Partition struct {
	manager *Manager
	key     sharestate.Key
	epoch   int32 // of the state
	leader  int32 // epoch

	// mu guards all below, and keeps the machine's inputs in order.
	mu       sync.Mutex
	p        *share.Partition
	ref      share.Ref
	waiting  map[share.Ref]chan *kerr.Error
	queue    []share.Persist // to be written
	writing  bool
	watchers map[chan struct{}]struct{}
	timer    *time.Timer
	armed    time.Time // when the timer fires; zero: it does not run
	gone     bool      // forgotten: whoever has it asks the manager again
}

// LeaderEpoch is that of the partition's leader when it was loaded.
func (l *Partition) LeaderEpoch() int32 { return l.leader }

// NextFetch is where to read the log; ok is false if nothing can be acquired now.
func (l *Partition) NextFetch(set share.Settings) (offset int64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.p.Configure(set)
	return l.p.NextFetch()
}

// Acquire gives a member records of what was read at NextFetch.
func (l *Partition) Acquire(t share.Take) []share.Given {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return nil
	}
	given, effects := l.p.Acquire(time.Now(), t)
	l.do(effects)
	return given
}

// Acknowledge takes in what a member says of records. It returns when that is durable.
func (l *Partition) Acknowledge(ctx context.Context, member string, acks []share.Ack) *kerr.Error {
	l.mu.Lock()
	if l.gone {
		l.mu.Unlock()
		return kerr.FencedStateEpoch
	}
	l.ref++
	ref, answer := l.ref, make(chan *kerr.Error, 1)
	l.waiting[ref] = answer
	l.do(l.p.Acknowledge(time.Now(), ref, member, acks))
	l.mu.Unlock()
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
	case <-l.manager.ctx.Done():
	}
	l.mu.Lock()
	delete(l.waiting, ref)
	l.mu.Unlock()
	return kerr.CoordinatorNotAvailable
}

// ReleaseMember gives back what a member has.
func (l *Partition) ReleaseMember(member string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.gone {
		l.do(l.p.ReleaseMember(time.Now(), member))
	}
}

// LogStart tells that the log begins later now.
func (l *Partition) LogStart(start int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.gone {
		l.do(l.p.LogStart(time.Now(), start))
	}
}

// Watch has c receive, without blocking, when there may be something new to acquire.
func (l *Partition) Watch(c chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers[c] = struct{}{}
	if l.gone {
		signal(c)
	}
}

// Unwatch ends Watch.
func (l *Partition) Unwatch(c chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.watchers, c)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// do carries out what the machine wants done. mu is held.
func (l *Partition) do(effects share.Effects) {
	for _, e := range effects {
		switch e := e.(type) {
		case share.Reply:
			if c, ok := l.waiting[e.Ref]; ok {
				delete(l.waiting, e.Ref)
				c <- e.Err
			}
		case share.Persist:
			l.queue = append(l.queue, e)
			if !l.writing {
				l.writing = l.manager.spawn(l.write)
			}
		case share.Wake:
			for c := range l.watchers {
				signal(c)
			}
		}
	}
	l.arm()
}

// write writes what is queued until there is nothing left.
func (l *Partition) write() {
	for {
		l.mu.Lock()
		queue := l.queue
		l.queue = nil
		if len(queue) == 0 || l.gone {
			l.writing = false
			l.mu.Unlock()
			return
		}
		in := sharestate.Write{Epoch: l.epoch, LeaderEpoch: l.leader}
		in.Start, in.Complete = l.p.Together(queue[0].Seq, queue[len(queue)-1].Seq)
		l.mu.Unlock()
		for _, e := range queue {
			in.Batches = sharestate.Combine(in.Batches, e.Batches, 0)
		}
		err := l.manager.states.Write(l.manager.ctx, l.key, in)
		l.mu.Lock()
		for _, e := range queue {
			if !l.gone {
				l.do(l.p.Written(time.Now(), e.Seq, err))
			}
		}
		l.mu.Unlock()
		if fencing(err) {
			l.manager.Forget(l.key)
		}
	}
}

// fencing tells whether an error says that the state is another's now.
func fencing(err *kerr.Error) bool {
	return err == kerr.FencedStateEpoch || err == kerr.FencedLeaderEpoch || err == kerr.InvalidRequest || err == kerr.NotCoordinator
}

// arm sets the timer to when the next lock runs out. mu is held.
func (l *Partition) arm() {
	at := l.p.Deadline()
	if at.Equal(l.armed) || l.gone {
		return
	}
	if l.timer != nil {
		l.timer.Stop()
	}
	l.armed = at
	if at.IsZero() {
		return
	}
	l.timer = time.AfterFunc(time.Until(at), l.tick)
}

func (l *Partition) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gone {
		return
	}
	l.armed = time.Time{}
	l.do(l.p.Tick(time.Now()))
}

// leave forgets the partition: whoever waits is sent away.
func (l *Partition) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = true
	if l.timer != nil {
		l.timer.Stop()
	}
	for ref, c := range l.waiting {
		delete(l.waiting, ref)
		c <- kerr.FencedStateEpoch
	}
	for c := range l.watchers {
		signal(c)
	}
}
