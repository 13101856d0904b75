package quota

import (
	"crypto/sha256"
	"sync"
	"time"
)

// Manager adds up what clients use. It is safe for concurrent use.
type Manager struct {
	windows, changes Windows
	most             int // buckets

	mu      sync.Mutex
	buckets map[bucketKey]*bucket
	sweepAt int // number of buckets at which those that forgot everything are dropped
	swept   time.Time
}

// bucket is the use of one user, client id or address, of one kind.
type bucket struct {
	rate   rate
	tokens tokens
	last   time.Time
}

// The number of buckets. Names come from clients, so that there must be a bound: what is beyond it
// shares one bucket for each kind.
const (
	mostBuckets  = 100_000
	firstSweepAt = 1_000
	longestName  = 64 // bytes; longer ones are known by their hash
)

// NewManager takes the windows of all rates, and those of the changes of topics and partitions.
func NewManager(windows, changes Windows) *Manager {
	return &Manager{windows: windows, changes: changes, most: mostBuckets, buckets: map[bucketKey]*bucket{}, sweepAt: firstSweepAt}
}

// Use counts what was used and returns how long the client has to wait. Time in requests has a
// longest wait, one window; bytes have none.
func (m *Manager) Use(l *Limits, k Kind, user, client string, amount float64, now time.Time) time.Duration {
	limit, key, ok := l.find(k, user, client)
	if !ok {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.bucket(key, now)
	b.rate.add(amount, now, m.windows)
	wait := b.rate.wait(limit, now, m.windows)
	if k == RequestTime {
		wait = min(wait, m.windows.Size)
	}
	return wait
}

// Return takes back what was counted and not used after all.
func (m *Manager) Return(l *Limits, k Kind, user, client string, amount float64, now time.Time) {
	if _, key, ok := l.find(k, user, client); ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.bucket(key, now).rate.add(-amount, now, m.windows)
	}
}

// Most is how much may be used in one go without a wait, when nothing was before. It reports false
// where there is no limit.
func (m *Manager) Most(l *Limits, k Kind, user, client string) (float64, bool) {
	limit, _, ok := l.find(k, user, client)
	return limit * float64(m.windows.Number-1) * m.windows.Size.Seconds(), ok
}

// Change pays for changed partitions. Strict refuses, with a wait, while anything is owed, and else
// lets the client owe; otherwise it is never refused and may have to wait all the same.
func (m *Manager) Change(l *Limits, user, client string, partitions int, strict bool, now time.Time) (wait time.Duration, refused bool) {
	limit, key, ok := l.find(ControllerChanges, user, client)
	if !ok {
		return 0, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.bucket(key, now)
	b.tokens.refill(limit, now, m.changes)
	if strict {
		if wait = b.tokens.wait(limit); b.tokens.left < 0 {
			return wait, true
		}
	}
	b.tokens.left -= float64(partitions)
	if strict {
		return 0, false
	}
	return b.tokens.wait(limit), false
}

// Connect counts a new connection of an address. With a wait it is refused, and not counted.
func (m *Manager) Connect(l *Limits, ip string, now time.Time) time.Duration {
	limit, key, ok := l.findIP(ip)
	if !ok {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.bucket(key, now)
	b.rate.add(1, now, m.windows)
	wait := b.rate.wait(limit, now, m.windows)
	if wait > 0 {
		b.rate.add(-1, now, m.windows)
	}
	return min(wait, m.windows.Size)
}

// Accept counts a new connection of whichever address and returns how long the next one has to wait.
// A limit of 0 makes each wait for as long as one can.
func (m *Manager) Accept(limit float64, now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.bucket(bucketKey{kind: kinds}, now)
	b.rate.add(1, now, m.windows)
	if limit <= 0 {
		return m.windows.Size
	}
	return min(b.rate.wait(limit, now, m.windows), m.windows.Size)
}

// bucket finds or makes one. m.mu is held.
func (m *Manager) bucket(key bucketKey, now time.Time) *bucket {
	key.user, key.client = short(key.user), short(key.client)
	b := m.buckets[key]
	if b == nil {
		if n := len(m.buckets); n >= m.sweepAt || n >= m.most && now.Sub(m.swept) >= m.windows.Size {
			m.sweep(now)
		}
		if len(m.buckets) >= m.most {
			key = bucketKey{kind: key.kind}
			if b = m.buckets[key]; b != nil {
				b.last = now
				return b
			}
		}
		b = &bucket{}
		m.buckets[key] = b
	}
	b.last = now
	return b
}

// sweep drops the buckets that know nothing any more: a new one would be the same. What is owed for
// changes is kept.
func (m *Manager) sweep(now time.Time) {
	for key, b := range m.buckets {
		over := m.windows.all()
		if key.kind == ControllerChanges {
			over = m.changes.all()
		}
		if now.Sub(b.last) >= over && b.tokens.left >= 0 {
			delete(m.buckets, key)
		}
	}
	m.swept = now
	m.sweepAt = max(2*len(m.buckets), firstSweepAt)
}

func short(name string) string {
	if len(name) <= longestName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return string(sum[:])
}
