package cleaner

import (
	"sync"
	"time"
)

// Throttle holds all cleaners together to log.cleaner.io.max.bytes.per.second. It may be used from several goroutines.
type Throttle struct {
	mu    sync.Mutex // guards what follows
	rate  float64
	ready time.Time // when what was let through is paid for
}

// SetRate sets the bytes a second; zero or less is no limit.
func (t *Throttle) SetRate(rate float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rate = rate
}

// Take lets n bytes through and returns how long to wait after them.
func (t *Throttle) Take(now time.Time, n int) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rate <= 0 {
		return 0
	}
	if t.ready.Before(now) {
		t.ready = now
	}
	t.ready = t.ready.Add(time.Duration(float64(n) / t.rate * float64(time.Second)))
	return t.ready.Sub(now)
}
