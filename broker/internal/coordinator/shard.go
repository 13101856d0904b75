package coordinator

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/group"
)

// shard holds the groups of one partition of __consumer_offsets.
type shard struct {
	c         *Coordinator
	partition int32
	state     atomic.Int32 // loading, serving or failed

	mu     sync.Mutex // guards groups
	groups map[string]*entry

	writer writer
}

const (
	stateLoading int32 = iota
	stateServing
	stateFailed
)

// ready tells why the shard cannot serve, nil if it can.
func (s *shard) ready() *kerr.Error {
	switch s.state.Load() {
	case stateServing:
		return nil
	case stateLoading:
		return kerr.CoordinatorLoadInProgress
	}
	return kerr.NotCoordinator
}

// load reads the partition and brings its groups to life.
func (s *shard) load() {
	start := time.Now()
	l := loading{groups: map[string]*loaded{}}
	err := s.c.log.Read(s.c.ctx, s.partition, l.add)
	result := Load{Partition: s.partition, Records: l.records, Unknown: l.unknown, Err: err}
	if err == nil {
		for id, g := range l.groups {
			if g.metadata == nil && len(g.offsets) == 0 {
				continue // all tombstones
			}
			result.Groups++
			result.Offsets += len(g.offsets)
			s.restore(id, g)
		}
	}
	result.Took = time.Since(start)
	if err != nil {
		s.state.Store(stateFailed)
	} else {
		s.state.Store(stateServing)
	}
	s.c.events.Loaded(result)
}

func (s *shard) restore(id string, l *loaded) {
	g, effects := group.Restore(id, &s.c.cfg.Group, time.Now(), l.metadata, l.offsets)
	e := newEntry(s, g)
	e.mu.Lock()
	defer e.mu.Unlock()
	s.mu.Lock()
	s.groups[id] = e
	s.mu.Unlock()
	e.carryOut(effects)
	e.arm()
}

// lock returns the group's entry, locked; a new one if there is none.
func (s *shard) lock(id string) *entry {
	for {
		s.mu.Lock()
		e := s.groups[id]
		if e == nil {
			e = newEntry(s, group.New(id, &s.c.cfg.Group, time.Now()))
			s.groups[id] = e
		}
		s.mu.Unlock()
		e.mu.Lock()
		if !e.gone {
			return e
		}
		e.mu.Unlock()
	}
}

// each calls f with every known group, by name, its entry locked.
func (s *shard) each(f func(e *entry)) {
	s.mu.Lock()
	entries := make([]*entry, 0, len(s.groups))
	for _, e := range s.groups {
		entries = append(entries, e)
	}
	s.mu.Unlock()
	slices.SortFunc(entries, func(a, b *entry) int { return strings.Compare(a.g.ID(), b.g.ID()) })
	for _, e := range entries {
		e.mu.Lock()
		if !e.gone && e.g.Known() {
			f(e)
		}
		e.mu.Unlock()
	}
}
