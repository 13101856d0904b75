// Package fault lets a broker misbehave on purpose: be slow, lose the answer to a
// producer, refuse its clients, have a full disk. It is there only in a broker that was
// started for it (--faults); everywhere else the *Set is nil, which is valid and never
// fires.
//
// A rule is set at a point, over HTTP (see [Handler]), in the form that the services of
// the shop have too.
package fault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Point names a place in the broker.
type Point string

// The points.
const (
	ConnectionAccept    Point = "connection.accept"
	RequestBeforeHandle Point = "request.before-handle"
	ProduceBeforeAppend Point = "produce.before-append"
	ProduceAfterAppend  Point = "produce.after-append"
	FetchBeforeRead     Point = "fetch.before-read"
	StorageAppend       Point = "storage.append"
)

// Kind is what happens at a point.
type Kind string

// The kinds. What an error means each point says itself.
const (
	Error Kind = "error"
	Delay Kind = "delay" // waits for Rule.Delay and goes on
	Hang  Kind = "hang"  // waits until the rule is cleared or the broker stops
	Crash Kind = "crash" // ends the process at once, as kill -9 does
)

// The keys that rules can match.
const (
	Topic  = "topic"
	Client = "client_id"
)

// Info says what a point is.
type Info struct {
	Point   Point
	Summary string
	Kinds   []Kind
	Match   []string
}

var (
	all       = []Kind{Error, Delay, Hang, Crash}
	catalogue = []Info{
		{ConnectionAccept, "a client connects; an error closes the connection at once", []Kind{Error}, nil},
		{RequestBeforeHandle, "a request is read, whichever it is; an error closes the connection", all, []string{Client}},
		{ProduceBeforeAppend, "Produce: nothing is appended; an error closes the connection", all, []string{Client, Topic}},
		{ProduceAfterAppend, "Produce: the records are on disk; an error closes the connection instead of the answer", all, []string{Client, Topic}},
		{FetchBeforeRead, "Fetch: nothing is read; an error closes the connection", all, []string{Client, Topic}},
		{StorageAppend, "the log is written; an error is a full disk (ENOSPC): producers get KAFKA_STORAGE_ERROR until it is cleared", []Kind{Error, Crash}, nil},
	}
)

// Limits of a rule.
const (
	maxCount = 1_000_000_000
	maxDelay = 10 * time.Minute
	maxValue = 256
)

// Rule says what happens at a point: Times times (0: always), after Skip hits that match.
type Rule struct {
	Point Point
	Kind  Kind
	Times int
	Skip  int
	Delay time.Duration
	Match map[string]string
}

// ErrInjected is what Hit returns for the kind error.
var ErrInjected = errors.New("fault injected on purpose")

// invalidError says which field of a rule is wrong, and what is allowed.
type invalidError struct{ field, value, allowed string }

func (e *invalidError) Error() string {
	return fmt.Sprintf("%s is %q; allowed is %s", e.field, e.value, e.allowed)
}

func (r Rule) validate(i Info) error {
	if !slices.Contains(i.Kinds, r.Kind) {
		return &invalidError{"kind", clip(string(r.Kind)), "at " + string(i.Point) + " " + list(i.Kinds)}
	}
	for field, n := range map[string]int{"times": r.Times, "skip": r.Skip} {
		if n < 0 || n > maxCount {
			return &invalidError{field, strconv.Itoa(n), fmt.Sprintf("a whole number from 0 to %d", maxCount)}
		}
	}
	if wanted := r.Kind == Delay; wanted != (r.Delay > 0) || r.Delay > maxDelay {
		allowed := "nothing: the kind " + string(r.Kind) + " has none"
		if wanted {
			allowed = "a duration above 0 and up to " + maxDelay.String() + ", as 500ms"
		}
		return &invalidError{"delay", r.Delay.String(), allowed}
	}
	for key, value := range r.Match {
		switch {
		case len(i.Match) == 0:
			return &invalidError{"match", clip(key), "nothing: " + string(i.Point) + " knows no attributes"}
		case !slices.Contains(i.Match, key):
			return &invalidError{"match", clip(key), "at " + string(i.Point) + " " + list(i.Match)}
		case value == "" || len(value) > maxValue:
			return &invalidError{"match." + key, clip(value), fmt.Sprintf("1 to %d bytes", maxValue)}
		}
	}
	return nil
}

// Set holds the rules of a broker. It is safe for concurrent use; nil never fires.
type Set struct {
	log   *slog.Logger
	count func(Point, Kind)
	crash func()

	rules [6]atomic.Pointer[armed] // by place in the catalogue
}

// armed is a rule that is set, with its counts.
type armed struct {
	Rule

	cleared chan struct{}

	mu          sync.Mutex // guards the two below
	seen, fired int64
}

// New returns a Set. count is told of every firing.
func New(log *slog.Logger, count func(Point, Kind)) *Set {
	return &Set{log: log, count: count, crash: crash}
}

// Hit is called where a fault may happen. attrs are pairs of key and value; of several with
// one key a rule has to match one. It returns nil unless a rule is due.
func (s *Set) Hit(ctx context.Context, p Point, attrs ...string) error {
	if s == nil {
		return nil
	}
	a := s.rules[place(p)].Load()
	if a == nil || !a.due(attrs) {
		return nil
	}
	s.log.Warn("fault injected", "point", string(p), "kind", string(a.Kind), "about", strings.Join(attrs, " "))
	s.count(p, a.Kind)
	var over <-chan time.Time
	switch a.Kind {
	case Crash:
		s.crash()
	case Error:
		return fmt.Errorf("%w at %s", ErrInjected, p)
	case Delay:
		timer := time.NewTimer(a.Delay)
		defer timer.Stop()
		over = timer.C
	case Hang:
	}
	select {
	case <-over:
		return nil
	case <-a.cleared:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w at %s: %w", ErrInjected, p, ctx.Err())
	}
}

// due counts a hit that matches and tells whether the rule fires at it.
func (a *armed) due(attrs []string) bool {
	for key, value := range a.Match {
		found := false
		for i := 0; i+1 < len(attrs); i += 2 {
			found = found || attrs[i] == key && attrs[i+1] == value
		}
		if !found {
			return false
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen++
	if a.seen <= int64(a.Skip) || a.Times > 0 && a.fired >= int64(a.Times) {
		return false
	}
	a.fired++
	return true
}

// set puts a rule at its point, or takes the one away that is there when r is nil.
func (s *Set) set(p Point, r *Rule) {
	var next *armed
	if r != nil {
		next = &armed{Rule: *r, cleared: make(chan struct{})}
	}
	if old := s.rules[place(p)].Swap(next); old != nil {
		close(old.cleared)
	}
}

// place is where a point is in the catalogue, or -1.
func place(p Point) int {
	for i := range catalogue {
		if catalogue[i].Point == p {
			return i
		}
	}
	return -1
}

// list is "a, b or c".
func list[S ~string](names []S) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	last := len(texts) - 1
	if last < 1 {
		return strings.Join(texts, "")
	}
	return strings.Join(texts[:last], ", ") + " or " + texts[last]
}

// clip shortens what came from outside before it is shown.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
