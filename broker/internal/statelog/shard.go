package statelog

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// shard holds the machines of one partition.
type shard[M, I any] struct {
	r         *Runtime[M, I]
	of        *opened[M, I]
	partition int32
	state     atomic.Int32  // loading, serving, failed or ended
	ended     chan struct{} // closed when the topic was deleted

	mu      sync.Mutex // guards entries
	entries map[string]*Entry[M, I]

	writer writer[M, I]
}

const (
	stateLoading int32 = iota
	stateServing
	stateFailed
	stateEnded
)

// ready tells why the shard cannot serve, nil if it can.
func (s *shard[M, I]) ready() *kerr.Error {
	switch s.state.Load() {
	case stateServing:
		return nil
	case stateLoading:
		return kerr.CoordinatorLoadInProgress
	}
	return kerr.NotCoordinator
}

// load reads the partition and brings its machines to life.
func (s *shard[M, I]) load() {
	start := time.Now()
	loader := s.r.rules.Load(s.partition)
	err := s.r.log.Read(s.r.ctx, s.partition, loader.Add)
	state := stateFailed
	if err == nil {
		loader.Restore(s.enter)
		state = stateServing
	}
	s.state.CompareAndSwap(stateLoading, state)
	loader.Done(time.Since(start), err)
}

// enter takes a loaded machine in.
func (s *shard[M, I]) enter(id string, m M, begin func(e *Entry[M, I])) {
	e := newEntry(s, id, m)
	e.mu.Lock()
	defer e.mu.Unlock()
	s.mu.Lock()
	s.entries[id] = e
	s.mu.Unlock()
	begin(e)
	e.arm()
}

// end forgets the machines, and who waits for them.
func (s *shard[M, I]) end() {
	s.state.Store(stateEnded)
	close(s.ended)
	s.mu.Lock()
	entries := s.entries
	s.entries = map[string]*Entry[M, I]{}
	s.mu.Unlock()
	if len(entries) == 0 {
		return
	}
	s.r.Spawn(func() { // who noticed may hold the lock of one
		for _, e := range entries {
			e.mu.Lock()
			e.gone = true
			s.r.timers.set(&e.timer, time.Time{})
			e.mu.Unlock()
		}
	})
}

// hasEnded reports whether end was called.
func (s *shard[M, I]) hasEnded() bool { return s.state.Load() == stateEnded }

// lock returns the entry of an id, locked; a new one if there is none.
func (s *shard[M, I]) lock(id string) *Entry[M, I] {
	for {
		s.mu.Lock()
		e := s.entries[id]
		if e == nil {
			e = newEntry(s, id, s.r.rules.New(id, time.Now()))
			s.entries[id] = e
		}
		s.mu.Unlock()
		e.mu.Lock()
		if !e.gone {
			return e
		}
		e.mu.Unlock()
	}
}

// each calls f with every machine that exists, by id, its entry locked.
func (s *shard[M, I]) each(f func(e *Entry[M, I])) {
	s.mu.Lock()
	entries := slices.Collect(maps.Values(s.entries))
	s.mu.Unlock()
	slices.SortFunc(entries, func(a, b *Entry[M, I]) int { return strings.Compare(a.ID, b.ID) })
	for _, e := range entries {
		e.mu.Lock()
		if !e.gone && s.r.rules.Exists(e.Machine) {
			f(e)
		}
		e.mu.Unlock()
	}
}
