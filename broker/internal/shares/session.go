package shares

import (
	"math"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Epochs of share sessions (KIP-932).
const (
	OpenEpoch  int32 = 0  // a new session
	CloseEpoch int32 = -1 // the last request of one
)

// TopicPartition is a partition that a member fetches.
type TopicPartition struct {
	Topic     [16]byte
	Partition int32
}

type sessionKey struct{ group, member string }

// Session is a member's view of its partitions between its fetches.
type Session struct {
	key   sessionKey
	epoch int32       // of the next request; guarded by Manager.mu, as is
	stop  func() bool // ends the watch over the session's connection

	mu    sync.Mutex // guards all below
	order []TopicPartition
	in    map[TopicPartition]bool
	next  int // who is served first, in turn
}

// Session finds the session of a request, or opens one. closing tells that the request is its last.
func (m *Manager) Session(group, member string, epoch int32, limit int) (s *Session, closing bool, err *kerr.Error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := sessionKey{group, member}
	s = m.sessions[k]
	switch {
	case epoch == OpenEpoch:
		if s == nil && len(m.sessions) >= limit {
			return nil, false, kerr.ShareSessionLimitReached
		}
		if s != nil {
			s.unbind()
		}
		s = &Session{key: k, epoch: 1, in: map[TopicPartition]bool{}}
		m.sessions[k] = s
		return s, false, nil
	case s == nil:
		return nil, false, kerr.ShareSessionNotFound
	case epoch == CloseEpoch:
		return s, true, nil
	case epoch != s.epoch:
		return nil, false, kerr.InvalidShareSessionEpoch
	}
	if s.epoch == math.MaxInt32 {
		s.epoch = 0
	}
	s.epoch++
	return s, false, nil
}

// End ends a session. It does nothing if that was replaced by another.
func (m *Manager) End(s *Session) (ended bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sessions[s.key] != s {
		return false
	}
	delete(m.sessions, s.key)
	s.unbind()
	return true
}

// Bind has stop called when the session ends: the watch over its connection is not needed
// any more.
func (m *Manager) Bind(s *Session, stop func() bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.stop = stop
	if m.sessions[s.key] != s {
		s.unbind()
	}
}

func (s *Session) unbind() {
	if s.stop != nil {
		s.stop()
	}
}

// Add takes a partition in, once.
func (s *Session) Add(tp TopicPartition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.in[tp] {
		s.in[tp] = true
		s.order = append(s.order, tp)
	}
}

// Remove takes a partition out.
func (s *Session) Remove(tp TopicPartition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.in[tp] {
		return
	}
	delete(s.in, tp)
	for i, o := range s.order {
		if o == tp {
			s.order = append(s.order[:i:i], s.order[i+1:]...)
			return
		}
	}
}

// Partitions lists the partitions, beginning with another one each time, so that none has
// to wait for all before it.
func (s *Session) Partitions() []TopicPartition {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.order)
	if n == 0 {
		return nil
	}
	s.next = (s.next + 1) % n
	return append(append(make([]TopicPartition, 0, n), s.order[s.next:]...), s.order[:s.next]...)
}
