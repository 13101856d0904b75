package shares

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/share"
	"millrace/broker/internal/sharestate"
)

// States keeps the states of partitions; a sharestate.Coordinator does.
type States interface {
	Read(ctx context.Context, k sharestate.Key, leaderEpoch int32) sharestate.Answer
	Write(ctx context.Context, k sharestate.Key, in sharestate.Write) *kerr.Error
}

// Manager holds partitions and sessions. It is safe for concurrent use.
type Manager struct {
	states States

	mu         sync.Mutex // guards all below
	partitions map[sharestate.Key]*loading
	sessions   map[sessionKey]*Session
	closed     bool

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// loading is a partition that is loaded, or being loaded.
type loading struct {
	done chan struct{}
	p    *Partition
	err  *kerr.Error
}

// NewManager returns a manager of partitions whose states are kept by states.
func NewManager(states States) *Manager {
	m := &Manager{states: states, partitions: map[sharestate.Key]*loading{}, sessions: map[sessionKey]*Session{}}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m
}

// Close ends all waiting and all timers, and returns when nothing is being written any more.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	all := m.partitions
	m.partitions = map[sharestate.Key]*loading{}
	m.mu.Unlock()
	m.cancel()
	for _, l := range all {
		<-l.done
		if l.p != nil {
			l.p.leave()
		}
	}
	m.wg.Wait()
}

// Spawn runs f in a goroutine, until Close ends its context; not after Close.
func (m *Manager) Spawn(f func(ctx context.Context)) { m.spawn(func() { f(m.ctx) }) }

// spawn runs f in a goroutine that Close waits for; not after Close.
func (m *Manager) spawn(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return false
	}
	m.wg.Go(f)
	return true
}

// Open returns a partition, which it loads if need be. begin is where it starts when its
// state does not say.
func (m *Manager) Open(ctx context.Context, k sharestate.Key, leaderEpoch int32, set share.Settings, begin func() (int64, *kerr.Error)) (*Partition, *kerr.Error) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil, kerr.CoordinatorNotAvailable
	}
	l := m.partitions[k]
	if l == nil {
		l = &loading{done: make(chan struct{})}
		m.partitions[k] = l
		m.mu.Unlock()
		l.p, l.err = m.load(ctx, k, leaderEpoch, set, begin)
		if l.err != nil {
			m.drop(k, l)
		}
		close(l.done)
		return l.p, l.err
	}
	m.mu.Unlock()
	select {
	case <-l.done:
	case <-ctx.Done():
		return nil, kerr.CoordinatorNotAvailable
	}
	return l.p, l.err
}

func (m *Manager) load(ctx context.Context, k sharestate.Key, leaderEpoch int32, set share.Settings, begin func() (int64, *kerr.Error)) (*Partition, *kerr.Error) {
	a := m.states.Read(ctx, k, leaderEpoch)
	if a.Err != nil {
		return nil, a.Err
	}
	start := a.State.Start
	if start == sharestate.Uninitialized {
		var err *kerr.Error
		if start, err = begin(); err != nil {
			return nil, err
		}
		// Kept at once: decided again after a crash, "latest" would be later, and skip what
		// was delivered and not acknowledged.
		err = m.states.Write(ctx, k, sharestate.Write{Epoch: a.State.Epoch, LeaderEpoch: leaderEpoch, Start: start, Complete: -1})
		if err != nil {
			return nil, err
		}
	}
	return &Partition{
		manager: m, key: k, epoch: a.State.Epoch, leader: leaderEpoch, p: share.Restore(set, start, a.State.Batches),
		waiting: map[share.Ref]chan *kerr.Error{}, watchers: map[chan struct{}]struct{}{},
	}, nil
}

// Loaded returns a partition if it is loaded, nil if not.
func (m *Manager) Loaded(k sharestate.Key) *Partition {
	m.mu.Lock()
	l := m.partitions[k]
	m.mu.Unlock()
	if l == nil {
		return nil
	}
	select {
	case <-l.done:
		return l.p
	default:
		return nil
	}
}

func (m *Manager) drop(k sharestate.Key, l *loading) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.partitions[k] == l {
		delete(m.partitions, k)
	}
}

// Forget lets a partition go: its state is another's now, or no more.
func (m *Manager) Forget(k sharestate.Key) {
	m.mu.Lock()
	l := m.partitions[k]
	delete(m.partitions, k)
	m.mu.Unlock()
	if l == nil {
		return
	}
	select {
	case <-l.done:
	case <-m.ctx.Done():
		return
	}
	if l.p != nil {
		l.p.leave()
	}
}

// Count tells how many partitions and sessions there are.
func (m *Manager) Count() (partitions, sessions int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.partitions), len(m.sessions)
}
