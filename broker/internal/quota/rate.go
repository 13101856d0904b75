package quota

import (
	"math"
	"time"
)

// Windows are the times over which a rate is measured.
type Windows struct {
	Number int           // the running one among them; at least 1
	Size   time.Duration // of each
}

// all is how long a use counts.
func (w Windows) all() time.Duration { return time.Duration(w.Number) * w.Size }

// sample is the use in one window.
type sample struct {
	start, last time.Time
	sum         float64
}

// rate measures use by windows that begin with the first use after the one before is over
// (org.apache.kafka.common.metrics.stats.Rate).
type rate struct {
	samples []sample
	at      int // the running one
}

// add counts a use, below zero to take one back.
func (r *rate) add(amount float64, now time.Time, w Windows) {
	if len(r.samples) == 0 {
		r.samples = append(r.samples, sample{start: now})
	}
	if now.Sub(r.samples[r.at].start) >= w.Size {
		r.at++
		if r.at >= w.Number {
			r.at = 0
		}
		if r.at >= len(r.samples) {
			r.samples = append(r.samples, sample{})
		}
		r.samples[r.at] = sample{start: now}
	}
	s := &r.samples[r.at]
	s.sum += amount
	s.last = now
}

// measure returns the use a second, and the time that it was measured over.
func (r *rate) measure(now time.Time, w Windows) (perSecond float64, over time.Duration) {
	oldest, sum := now, 0.0
	for i := range r.samples {
		s := &r.samples[i]
		if now.Sub(s.last) >= w.all() {
			*s = sample{start: now, last: now}
		}
		sum += s.sum
		if s.start.Before(oldest) {
			oldest = s.start
		}
	}
	over = now.Sub(oldest)
	if missing := int64(w.Number-1) - int64(over/w.Size); missing > 0 {
		over += time.Duration(missing * int64(w.Size))
	}
	over = max(over, time.Millisecond)
	return sum / over.Seconds(), over
}

// wait is how long nothing may be used so that the rate comes down to the limit.
func (r *rate) wait(limit float64, now time.Time, w Windows) time.Duration {
	perSecond, over := r.measure(now, w)
	if perSecond <= limit {
		return 0
	}
	return seconds((perSecond - limit) / limit * over.Seconds())
}

// tokens pay for changes: they come back at the limit's rate, up to what all windows together
// are worth (org.apache.kafka.common.metrics.stats.TokenBucket, KIP-599).
type tokens struct {
	left float64
	last time.Time // zero: full
}

func (t *tokens) refill(limit float64, now time.Time, w Windows) {
	burst := limit * w.all().Seconds()
	if t.last.IsZero() {
		t.left = burst
	} else if gone := now.Sub(t.last); gone > 0 {
		t.left = min(t.left+limit*gone.Seconds(), burst)
	}
	t.last = now
}

// wait is how long it takes until nothing is owed.
func (t *tokens) wait(limit float64) time.Duration {
	if t.left >= 0 {
		return 0
	}
	return seconds(-t.left / limit)
}

// seconds rounds to milliseconds, which is what clients are told; more than they can be told is as
// much as they can.
func seconds(s float64) time.Duration {
	return time.Duration(min(math.Round(s*1000), math.MaxInt32)) * time.Millisecond
}
