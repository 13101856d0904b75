package shares

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/goleak"

	"millrace/broker/internal/share"
	"millrace/broker/internal/sharestate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// states keeps states in memory. Writes wait while hold is locked.
type states struct {
	hold sync.RWMutex

	mu    sync.Mutex
	state sharestate.State
	wrote int
	fail  *kerr.Error
}

func (s *states) Read(context.Context, sharestate.Key, int32) sharestate.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.state
	return sharestate.Answer{State: &state}
}

func (s *states) Write(_ context.Context, _ sharestate.Key, in sharestate.Write) *kerr.Error {
	s.hold.RLock()
	defer s.hold.RUnlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.wrote++
	s.state.Start = max(s.state.Start, in.Start)
	s.state.Batches = sharestate.Combine(s.state.Batches, in.Batches, s.state.Start)
	return nil
}

var (
	key = sharestate.Key{Group: "g", Topic: [16]byte{1}}
	set = share.Settings{Lock: time.Minute, DeliveryLimit: 5, MaxInFlight: 100}
)

func open(t *testing.T, m *Manager) *Partition {
	t.Helper()
	p, err := m.Open(t.Context(), key, 0, set, func() (int64, *kerr.Error) { return 7, nil })
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func take(member string) share.Take {
	return share.Take{Member: member, Spans: []share.Span{{First: 7, Last: 16}}, MaxRecords: 100, BatchSize: 100}
}

// Where a group begins is decided once, and kept before anything is given out.
func TestOpen_KeepsWhereItBegins(t *testing.T) {
	t.Parallel()
	s := &states{state: sharestate.State{Start: sharestate.Uninitialized}}
	m := NewManager(s)
	defer m.Close()
	if p := open(t, m); p != open(t, m) {
		t.Error("a second request loads the partition again")
	}
	if s.state.Start != 7 {
		t.Errorf("start %d is kept, want 7", s.state.Start)
	}
}

// Acknowledgements that come while another is being written go into one write.
func TestPartition_WritesTogether(t *testing.T) {
	t.Parallel()
	s := &states{state: sharestate.State{Start: 7}}
	m := NewManager(s)
	defer m.Close()
	p := open(t, m)
	p.Acquire(take("a"))
	s.hold.Lock()
	var wg sync.WaitGroup
	for i := range int64(10) {
		wg.Go(func() {
			if err := p.Acknowledge(t.Context(), "a", []share.Ack{{First: 7 + i, Last: 7 + i, Types: []int8{share.Accept}}}); err != nil {
				t.Errorf("offset %d: %v", 7+i, err)
			}
		})
	}
	for { // until all have been taken in
		p.mu.Lock()
		n := len(p.waiting)
		p.mu.Unlock()
		if n == 10 {
			break
		}
		runtime.Gosched()
	}
	s.hold.Unlock()
	wg.Wait()
	if s.wrote > 2 {
		t.Errorf("%d writes for ten acknowledgements, want two", s.wrote)
	}
	if next, ok := p.NextFetch(set); next != 17 || !ok {
		t.Errorf("goes on at %d, %v", next, ok)
	}
}

// A partition whose state is another's now is forgotten, and whoever waits is told.
func TestPartition_IsFenced(t *testing.T) {
	t.Parallel()
	s := &states{state: sharestate.State{Start: 7}}
	m := NewManager(s)
	defer m.Close()
	p := open(t, m)
	p.Acquire(take("a"))
	s.mu.Lock()
	s.fail = kerr.FencedStateEpoch
	s.mu.Unlock()
	if err := p.Acknowledge(t.Context(), "a", []share.Ack{{First: 7, Last: 7, Types: []int8{share.Accept}}}); err != kerr.FencedStateEpoch {
		t.Errorf("answered %v", err)
	}
	woken := make(chan struct{}, 1)
	p.Watch(woken) // of a partition that is gone, or about to be
	<-woken
	if open(t, m) == p {
		t.Error("the partition is not loaded again")
	}
}

// A lock that runs out wakes those who wait.
func TestPartition_LockRunsOut(t *testing.T) {
	t.Parallel()
	m := NewManager(&states{state: sharestate.State{Start: 7}})
	defer m.Close()
	p := open(t, m)
	brief := set
	brief.Lock = 20 * time.Millisecond
	p.NextFetch(brief)
	p.Acquire(take("a"))
	woken := make(chan struct{}, 1)
	p.Watch(woken)
	<-woken
	if given := p.Acquire(take("b")); len(given) != 1 || given[0].DeliveryCount != 2 {
		t.Errorf("b has %v, want all for the second time", given)
	}
}

// The epochs of a session (KIP-932).
func TestSession_Epochs(t *testing.T) {
	t.Parallel()
	m := NewManager(&states{})
	defer m.Close()
	if _, _, err := m.Session("g", "m", 1, 2); err != kerr.ShareSessionNotFound {
		t.Errorf("epoch 1 without a session: %v", err)
	}
	s, _, err := m.Session("g", "m", OpenEpoch, 2)
	if err != nil {
		t.Fatal(err)
	}
	for epoch := range int32(3) {
		if _, _, err := m.Session("g", "m", epoch+1, 2); err != nil {
			t.Errorf("epoch %d: %v", epoch+1, err)
		}
	}
	if _, _, err := m.Session("g", "m", 3, 2); err != kerr.InvalidShareSessionEpoch {
		t.Errorf("an epoch again: %v", err)
	}
	if _, _, err := m.Session("g", "n", OpenEpoch, 1); err != kerr.ShareSessionLimitReached {
		t.Errorf("one too many: %v", err)
	}
	again, _, _ := m.Session("g", "m", OpenEpoch, 1)
	if m.End(s) {
		t.Error("a session that was replaced ends the one in its place")
	}
	if _, closing, err := m.Session("g", "m", CloseEpoch, 1); err != nil || !closing || !m.End(again) {
		t.Errorf("closing: %v, %v", closing, err)
	}
}

// Partitions are served in turn.
func TestSession_ServesInTurn(t *testing.T) {
	t.Parallel()
	m := NewManager(&states{})
	defer m.Close()
	s, _, _ := m.Session("g", "m", OpenEpoch, 1)
	for i := range int32(3) {
		s.Add(TopicPartition{Partition: i})
		s.Add(TopicPartition{Partition: i})
	}
	s.Remove(TopicPartition{Partition: 1})
	first := map[int32]bool{}
	for range 2 {
		ps := s.Partitions()
		if len(ps) != 2 {
			t.Fatalf("partitions %v", ps)
		}
		first[ps[0].Partition] = true
	}
	if len(first) != 2 {
		t.Errorf("first are always %v", first)
	}
}
