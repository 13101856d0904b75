package supervise

import (
	"fmt"
	"strings"
	"time"
)

// Policy says which ends of a part make the supervisor start it again.
type Policy string

// The policies.
const (
	Always    Policy = "always"     // after every end, also a clean one
	OnFailure Policy = "on-failure" // after an exit code other than 0, and after a signal
	Never     Policy = "never"
)

// Policies lists what ParsePolicy takes.
var Policies = []Policy{Always, OnFailure, Never}

// ParsePolicy reads a policy by its name.
func ParsePolicy(s string) (Policy, error) {
	names := make([]string, 0, len(Policies))
	for _, p := range Policies {
		if string(p) == s {
			return p, nil
		}
		names = append(names, string(p))
	}
	return "", fmt.Errorf("restart policy %q is unknown, allowed: %s", s, strings.Join(names, ", "))
}

// restarts reports whether an end with this result is followed by a new start.
func (p Policy) restarts(failed bool) bool {
	return p == Always || p == OnFailure && failed
}

// Backoff is the growing wait between the end of a part and its next start.
type Backoff struct {
	First  time.Duration // wait before the first restart
	Max    time.Duration // the wait doubles up to this
	Steady time.Duration // a part that ran this long has earned a fresh start: its next wait is First again
}

// DefaultBackoff restarts a part that was killed almost at once, and one that
// dies again and again every ten seconds.
var DefaultBackoff = Backoff{First: 200 * time.Millisecond, Max: 10 * time.Second, Steady: 10 * time.Second}

// next answers how long to wait after a run of the given length, and the
// number of short runs in a row that leads to it.
func (b Backoff) next(uptime time.Duration, short int) (wait time.Duration, shortNow int) {
	if uptime >= b.Steady {
		return b.First, 0
	}
	wait = b.First
	for range short {
		if wait >= b.Max {
			break
		}
		wait *= 2
	}
	return min(wait, b.Max), short + 1
}
