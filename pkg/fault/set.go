package fault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Attr is something that is known at a hit and that a rule can match.
type Attr struct{ Key, Value string }

// ErrDisabled is returned when a rule is to be set where faults are not enabled.
var ErrDisabled = errors.New("faults are not enabled here")

// ErrDuplicate is what the error of the kind duplicate is (errors.Is): the point does
// once more what it has done and goes on as if nothing had been returned. Only points
// whose [Info] has that kind ever see it.
var ErrDuplicate = errors.New("injected duplicate")

// InjectedError is what Hit returns, or panics with.
type InjectedError struct {
	Point Point
	Kind  Kind
}

func (e *InjectedError) Error() string {
	return fmt.Sprintf("injected fault at %s: %s", e.Point, e.Kind)
}

// Permanent tells whether no further try cures the error.
func (e *InjectedError) Permanent() bool { return e.Kind == Permanent }

// Is makes the kind duplicate an [ErrDuplicate].
func (e *InjectedError) Is(target error) bool { return target == ErrDuplicate && e.Kind == Duplicate }

// Options are what a Set reports to. The zero value reports to nobody.
type Options struct {
	// Logger gets a warning for every firing.
	Logger *slog.Logger
	// Observe is called for every firing, before it takes effect.
	Observe func(Point, Kind)
	// Crash ends the process; nil: as kill -9 does. It must not return.
	Crash func()
}

// Set holds the rules of one program. It is safe for concurrent use. A nil *Set is
// valid: it never fires and takes no rules.
type Set struct {
	options Options
	points  []Info

	armed atomic.Pointer[map[Point]*armed] // nil: no rule is set; the map is never changed
	mu    sync.Mutex                       // held while a new map is put in place
}

// armed is a rule that is set.
type armed struct {
	rule    Rule
	cleared chan struct{} // closed when the rule is no longer set

	mu    sync.Mutex // guards the two below
	seen  int64      // hits that matched
	fired int64
}

// New returns a Set for a program that has these points. It panics on one that is not
// in the catalogue.
func New(o Options, points ...Point) *Set {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Crash == nil {
		o.Crash = crash
	}
	s := &Set{options: o}
	for _, p := range points {
		info, known := Lookup(p)
		if !known {
			panic("fault: no such point: " + string(p))
		}
		s.points = append(s.points, info)
	}
	return s
}

// Hit is called where a fault may happen. It returns nil at once unless a rule is set
// for the point, matches and is due. Then, by the kind of the rule, it returns an
// *[InjectedError], waits, panics, or does not return because the process has ended. A
// wait that the context ends returns the context's error.
func (s *Set) Hit(ctx context.Context, p Point, attrs ...Attr) error {
	if s == nil {
		return nil
	}
	rules := s.armed.Load()
	if rules == nil {
		return nil
	}
	return s.hit(ctx, (*rules)[p], attrs)
}

// HitOrder is Hit for what is done about an order: with its id, its products and the
// group whose message is the cause, which may be empty.
func (s *Set) HitOrder(ctx context.Context, p Point, group, orderID string, products ...string) error {
	if s == nil || s.armed.Load() == nil {
		return nil
	}
	attrs := make([]Attr, 0, 2+len(products))
	if group != "" {
		attrs = append(attrs, Attr{Group, group})
	}
	attrs = append(attrs, Attr{OrderID, orderID})
	for _, product := range products {
		attrs = append(attrs, Attr{ProductID, product})
	}
	return s.Hit(ctx, p, attrs...)
}

func (s *Set) hit(ctx context.Context, a *armed, attrs []Attr) error {
	if a == nil || !a.rule.matches(attrs) || !a.due() {
		return nil
	}
	p, kind := a.rule.Point, a.rule.Kind
	log := []any{"point", string(p), "kind", string(kind)}
	for _, attr := range attrs {
		log = append(log, attr.Key, attr.Value)
	}
	s.options.Logger.WarnContext(ctx, "fault injected", log...)
	if s.options.Observe != nil {
		s.options.Observe(p, kind)
	}
	switch kind {
	case Delay:
		timer := time.NewTimer(a.rule.Delay)
		defer timer.Stop()
		return a.wait(ctx, timer.C)
	case Hang:
		return a.wait(ctx, nil)
	case Crash:
		s.options.Crash()
		panic("fault: the process outlived its crash")
	case Panic:
		panic(&InjectedError{p, kind})
	default:
		return &InjectedError{p, kind}
	}
}

// wait returns when time is up, the rule is cleared or the context ends.
func (a *armed) wait(ctx context.Context, over <-chan time.Time) error {
	select {
	case <-over:
		return nil
	case <-a.cleared:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("injected fault at %s: %s: %w", a.rule.Point, a.rule.Kind, context.Cause(ctx))
	}
}

// due counts a hit and tells whether the rule fires at it.
func (a *armed) due() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen++
	if a.seen <= int64(a.rule.Skip) || a.rule.Times > 0 && a.fired >= int64(a.rule.Times) {
		return false
	}
	a.fired++
	return true
}

// Set puts a rule at its point, in place of the one that is there; counts begin anew.
// It returns an *[InvalidError] or [ErrDisabled] and changes nothing then.
func (s *Set) Set(r Rule) error {
	return s.SetAll([]Rule{r})
}

// SetAll sets several rules, or none when one of them is wrong.
func (s *Set) SetAll(rules []Rule) error {
	if s == nil {
		return ErrDisabled
	}
	for _, r := range rules {
		if err := s.check(r); err != nil {
			return err
		}
	}
	s.replace(func(m map[Point]*armed) {
		for _, r := range rules {
			r.Match = maps.Clone(r.Match)
			m[r.Point] = &armed{rule: r, cleared: make(chan struct{})}
		}
	})
	return nil
}

func (s *Set) check(r Rule) error {
	info, err := s.Info(r.Point)
	if err != nil {
		return err
	}
	if err := r.Validate(); err != nil {
		return err
	}
	return r.validFor(info)
}

// Info returns what there is to know of one of the program's points, or an *[InvalidError].
func (s *Set) Info(p Point) (Info, error) {
	if s == nil {
		return Info{}, ErrDisabled
	}
	names := make([]Point, len(s.points))
	for i, info := range s.points {
		if info.Point == p {
			return info, nil
		}
		names[i] = info.Point
	}
	return Info{}, &InvalidError{"point", clip(string(p)), near(string(p), names)}
}

// Clear takes the rule of a point away and ends the waits that it caused. It returns an
// *[InvalidError] when the program has no such point; a point without a rule is none.
func (s *Set) Clear(p Point) error {
	if _, err := s.Info(p); err != nil {
		return err
	}
	s.replace(func(m map[Point]*armed) { delete(m, p) })
	return nil
}

// ClearAll takes all rules away.
func (s *Set) ClearAll() {
	if s != nil {
		s.replace(func(m map[Point]*armed) { clear(m) })
	}
}

// replace puts a changed copy of the rules in place, and lets go of who waits for one that is gone.
func (s *Set) replace(change func(map[Point]*armed)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, after := map[Point]*armed{}, map[Point]*armed{}
	if m := s.armed.Load(); m != nil {
		before, after = *m, maps.Clone(*m)
	}
	change(after)
	if len(after) == 0 {
		s.armed.Store(nil)
	} else {
		s.armed.Store(&after)
	}
	for p, a := range before {
		if after[p] != a {
			close(a.cleared)
		}
	}
}

// State is a point with what is set there.
type State struct {
	Info

	Rule *Rule // nil: none
	// Fired is how often the rule fired since it was set.
	Fired int64
	// Seen is how many hits matched it.
	Seen int64
}

// List returns the program's points in the order in which it has them; a nil Set has none.
func (s *Set) List() []State {
	if s == nil {
		return nil
	}
	rules := s.armed.Load()
	states := make([]State, len(s.points))
	for i, info := range s.points {
		states[i].Info = info
		if rules == nil || (*rules)[info.Point] == nil {
			continue
		}
		a := (*rules)[info.Point]
		rule := a.rule
		rule.Match = maps.Clone(rule.Match)
		a.mu.Lock()
		states[i].Rule, states[i].Fired, states[i].Seen = &rule, a.fired, a.seen
		a.mu.Unlock()
	}
	return states
}

// Enabled tells whether rules can be set.
func (s *Set) Enabled() bool { return s != nil }

// Has tells whether the program has a point.
func (s *Set) Has(p Point) bool {
	return s != nil && slices.ContainsFunc(s.points, func(i Info) bool { return i.Point == p })
}
