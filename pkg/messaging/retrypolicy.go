package messaging

import (
	"fmt"
	"math/rand/v2"
	"time"

	"millrace/pkg/events"
)

// RetryPolicy says how often and when a failed message is tried again: first in
// process, while the partition waits, then out of the group's own retry topic. What is
// tried in process must stay well below the group's rebalance timeout of 60 s: Validate
// checks that. The tags are those of caarlos0/env, with the prefix RETRY_.
type RetryPolicy struct {
	// MaxAttempts bounds the tries in process, the first one included. They begin anew
	// after each of Delays.
	MaxAttempts int `env:"MAX_ATTEMPTS" envDefault:"3"`
	// InitialWait is the mean wait before the second try. Each wait is three times the
	// one before, and varies by half of itself.
	InitialWait time.Duration `env:"INITIAL_WAIT" envDefault:"200ms"`
	// TryTimeout limits one try.
	TryTimeout time.Duration `env:"TRY_TIMEOUT" envDefault:"10s"`
	// Delays are the waits of the delayed tier: a message that has used up its tries in
	// process lies in the retry topic for that long and is then tried again. None: it
	// becomes a dead letter at once.
	Delays []time.Duration `env:"DELAYS"`
}

// Limits of a RetryPolicy.
const (
	maxAttempts    = 10
	minInitialWait = time.Millisecond
	maxInitialWait = 30 * time.Second
	minTryTimeout  = 10 * time.Millisecond
	maxTryTimeout  = 30 * time.Second
	maxDelayCount  = 10
	minDelay       = 10 * time.Millisecond
	// maxInProcess bounds all tries in process with their waits.
	maxInProcess = rebalanceTimeout * 3 / 4

	waitGrowth = 3
)

// DefaultRetryPolicy returns the policy of an empty environment.
func DefaultRetryPolicy() RetryPolicy {
	return RetryPolicy{MaxAttempts: 3, InitialWait: 200 * time.Millisecond, TryTimeout: 10 * time.Second}
}

// withDefaults fills in what is zero.
func (p RetryPolicy) withDefaults() RetryPolicy {
	d := DefaultRetryPolicy()
	if p.MaxAttempts == 0 {
		p.MaxAttempts = d.MaxAttempts
	}
	if p.InitialWait == 0 {
		p.InitialWait = d.InitialWait
	}
	if p.TryTimeout == 0 {
		p.TryTimeout = d.TryTimeout
	}
	return p
}

// Validate names the first variable that is wrong, its value and what is allowed.
func (p RetryPolicy) Validate() error {
	switch {
	case p.MaxAttempts < 1 || p.MaxAttempts > maxAttempts:
		return fmt.Errorf("RETRY_MAX_ATTEMPTS is %d, want 1 to %d", p.MaxAttempts, maxAttempts)
	case p.InitialWait < minInitialWait || p.InitialWait > maxInitialWait:
		return fmt.Errorf("RETRY_INITIAL_WAIT is %q, want a duration from %s to %s, as 200ms", p.InitialWait, minInitialWait, maxInitialWait)
	case p.TryTimeout < minTryTimeout || p.TryTimeout > maxTryTimeout:
		return fmt.Errorf("RETRY_TRY_TIMEOUT is %q, want a duration from %s to %s, as 10s", p.TryTimeout, minTryTimeout, maxTryTimeout)
	case len(p.Delays) > maxDelayCount:
		return fmt.Errorf("RETRY_DELAYS holds %d durations, want at most %d, as 5s,30s", len(p.Delays), maxDelayCount)
	}
	for _, delay := range p.Delays {
		if delay < minDelay || delay > events.MaxDelay {
			return fmt.Errorf("RETRY_DELAYS holds %q, want durations from %s to %s, as 5s,30s", delay, minDelay, events.MaxDelay)
		}
	}
	total, pause := time.Duration(0), p.InitialWait
	for attempt := range p.MaxAttempts {
		total += p.TryTimeout
		if attempt > 0 {
			total += pause * 3 / 2
			pause *= waitGrowth
		}
	}
	if total > maxInProcess {
		return fmt.Errorf("RETRY_MAX_ATTEMPTS is %d, RETRY_TRY_TIMEOUT is %q and RETRY_INITIAL_WAIT is %q: the tries and their waits can take %s, want at most %s",
			p.MaxAttempts, p.TryTimeout, p.InitialWait, total.Round(time.Millisecond), maxInProcess)
	}
	return nil
}

// wait is the pause after a failed try of a round, the first try being 1.
func (p RetryPolicy) wait(try int) time.Duration {
	mean := p.InitialWait
	for range try - 1 {
		mean *= waitGrowth
	}
	return mean/2 + rand.N(mean+1)
}
