package fault_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"millrace/pkg/fault"
)

func set(t testing.TB, o fault.Options, text string, points ...fault.Point) *fault.Set {
	t.Helper()
	s := fault.New(o, points...)
	rules, err := fault.ParseRules(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetAll(rules); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSet_NilNeverFiresAndTakesNothing(t *testing.T) {
	t.Parallel()
	var s *fault.Set
	if err := s.Hit(t.Context(), fault.OrderBeforeCommit); err != nil {
		t.Error(err)
	}
	if err := s.Set(fault.Rule{Point: fault.OrderBeforeCommit, Kind: fault.Error}); !errors.Is(err, fault.ErrDisabled) {
		t.Errorf("set: %v", err)
	}
	if err := s.Clear(fault.OrderBeforeCommit); !errors.Is(err, fault.ErrDisabled) {
		t.Errorf("clear: %v", err)
	}
	s.ClearAll()
	if s.List() != nil || s.Enabled() || s.Has(fault.OrderBeforeCommit) {
		t.Error("a nil Set has something")
	}
}

// hits is what n hits of a point give: - for nothing, E for an error.
func hits(t *testing.T, s *fault.Set, n int, attrs ...fault.Attr) string {
	t.Helper()
	var b strings.Builder
	for range n {
		if s.Hit(t.Context(), fault.EffectBeforeCommit, attrs...) == nil {
			b.WriteByte('-')
		} else {
			b.WriteByte('E')
		}
	}
	return b.String()
}

func TestSet_CountsTimesAndSkip(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                                               "-----",
		"effect.before-commit=error":                                     "EEEEE",
		"effect.after-commit=error":                                      "-----",
		"effect.before-commit=error,times=2":                             "EE---",
		"effect.before-commit=error,skip=3":                              "---EE",
		"effect.before-commit=error,times=1,skip=1":                      "-E---",
		"effect.before-commit=error,match.product_id=b":                  "EEEEE",
		"effect.before-commit=error,match.product_id=c":                  "-----",
		"effect.before-commit=error,match.order_id=b":                    "-----",
		"effect.before-commit=error,match.order_id=o,match.product_id=a": "EEEEE",
		"effect.before-commit=error,match.order_id=o,match.product_id=x": "-----",
	} {
		s := set(t, fault.Options{}, text, fault.EffectBeforeCommit, fault.EffectAfterCommit)
		if got := hits(t, s, 5, fault.Attr{Key: fault.OrderID, Value: "o"}, fault.Attr{Key: fault.ProductID, Value: "a"}, fault.Attr{Key: fault.ProductID, Value: "b"}); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// A hit that does not match does not count: neither towards skip nor towards times.
func TestSet_OnlyMatchingHitsCount(t *testing.T) {
	t.Parallel()
	s := set(t, fault.Options{}, "effect.before-commit=error,skip=1,times=1,match.product_id=kettle", fault.EffectBeforeCommit)
	kettle := fault.Attr{Key: fault.ProductID, Value: "kettle"}
	if got := hits(t, s, 3) + hits(t, s, 2, kettle) + hits(t, s, 1) + hits(t, s, 2, kettle); got != "----E---" {
		t.Error(got)
	}
	if state := s.List()[0]; state.Fired != 1 || state.Seen != 4 || state.Rule == nil || state.Rule.Skip != 1 {
		t.Errorf("%+v", state)
	}
}

func TestSet_Errors(t *testing.T) {
	t.Parallel()
	s := set(t, fault.Options{}, "consume.before-effect=error;effect.before-commit=permanent;consume.after-effect=duplicate",
		fault.ConsumeBeforeEffect, fault.EffectBeforeCommit, fault.ConsumeAfterEffect)
	for point, want := range map[fault.Point]struct{ permanent, duplicate bool }{
		fault.ConsumeBeforeEffect: {}, fault.EffectBeforeCommit: {permanent: true}, fault.ConsumeAfterEffect: {duplicate: true},
	} {
		err := s.Hit(t.Context(), point)
		var injected *fault.InjectedError
		if !errors.As(err, &injected) || injected.Point != point || injected.Permanent() != want.permanent ||
			errors.Is(err, fault.ErrDuplicate) != want.duplicate || !strings.Contains(err.Error(), string(point)) {
			t.Errorf("%s: %v", point, err)
		}
	}
}

func TestSet_DelayWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := set(t, fault.Options{}, "effect.before-commit=delay,delay=5s", fault.EffectBeforeCommit)
		started := time.Now()
		if err := s.Hit(t.Context(), fault.EffectBeforeCommit); err != nil || time.Since(started) != 5*time.Second {
			t.Errorf("%v after %v", err, time.Since(started))
		}
		cause := errors.New("time is up")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		started = time.Now()
		if err := s.Hit(ctx, fault.EffectBeforeCommit); !errors.Is(err, cause) || time.Since(started) != time.Second {
			t.Errorf("%v after %v", err, time.Since(started))
		}
	})
}

// Clearing a rule, or putting another in its place, lets go of who hangs in it.
func TestSet_HangEndsWhenCleared(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(s *fault.Set) error{
		"clear":     func(s *fault.Set) error { return s.Clear(fault.EffectBeforeCommit) },
		"clear all": func(s *fault.Set) error { s.ClearAll(); return nil },
		"replace":   func(s *fault.Set) error { return s.Set(fault.Rule{Point: fault.EffectBeforeCommit, Kind: fault.Hang}) },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := set(t, fault.Options{}, "effect.before-commit=hang", fault.EffectBeforeCommit)
			done := make(chan error, 1)
			go func() { done <- s.Hit(t.Context(), fault.EffectBeforeCommit) }()
			synctest.Wait()
			select {
			case err := <-done:
				t.Errorf("%s: did not hang: %v", name, err)
			default:
			}
			if err := end(s); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestSet_PanicsAndCrashes(t *testing.T) {
	t.Parallel()
	crashed := 0
	s := set(t, fault.Options{Crash: func() { crashed++ }}, "effect.before-commit=panic;effect.after-commit=crash", fault.EffectBeforeCommit, fault.EffectAfterCommit)
	caught := func(p fault.Point) (recovered any) {
		defer func() { recovered = recover() }()
		_ = s.Hit(t.Context(), p)
		return nil
	}
	var injected *fault.InjectedError
	if err, _ := caught(fault.EffectBeforeCommit).(error); !errors.As(err, &injected) || injected.Kind != fault.Panic {
		t.Errorf("panicked with %v", err)
	}
	if caught(fault.EffectAfterCommit) == nil || crashed != 1 {
		t.Errorf("crashed %d times", crashed)
	}
}

// A crash is death without last words: nothing deferred runs.
func TestSet_CrashIsLikeKill9(t *testing.T) {
	t.Parallel()
	if os.Getenv("FAULT_TEST_CRASH") != "" {
		defer func() { _, _ = os.Stdout.WriteString("deferred") }()
		_ = set(t, fault.Options{}, "effect.before-commit=crash", fault.EffectBeforeCommit).Hit(t.Context(), fault.EffectBeforeCommit)
		_, _ = os.Stdout.WriteString("survived")
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSet_CrashIsLikeKill9$", "-test.v=false")
	child.Env = append(os.Environ(), "FAULT_TEST_CRASH=1")
	out, err := child.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strings.Contains(string(out), "deferred") || strings.Contains(string(out), "survived") {
		t.Fatalf("%v: %s", err, out)
	}
	if exit.Exited() && exit.ExitCode() != 137 || !exit.Exited() && exit.String() != "signal: killed" {
		t.Errorf("ended with %v", exit)
	}
}

func TestSet_TellsEveryFiring(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var seen []string
	s := set(t, fault.Options{
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
		Observe: func(p fault.Point, k fault.Kind) { seen = append(seen, string(p)+" "+string(k)) },
	}, "effect.before-commit=error,times=1", fault.EffectBeforeCommit)
	hits(t, s, 3, fault.Attr{Key: fault.OrderID, Value: "o-1"})
	if got := strings.Join(seen, ","); got != "effect.before-commit error" {
		t.Errorf("seen %q", got)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `level=WARN msg="fault injected" point=effect.before-commit kind=error order_id=o-1`) {
		t.Errorf("log: %s", text)
	}
}

func TestSet_RefusesWhatTheProgramDoesNotHave(t *testing.T) {
	t.Parallel()
	s := set(t, fault.Options{}, "effect.before-commit=error", fault.EffectBeforeCommit, fault.ConsumeAfterAck, fault.SMTPConnect)
	for name, c := range map[string]struct {
		rule  fault.Rule
		field string
		want  string
	}{
		"point":      {fault.Rule{Point: "effect.before-comit", Kind: fault.Error}, "point", "effect.before-commit, consume.after-ack or smtp.connect; the nearest is effect.before-commit"},
		"elsewhere":  {fault.Rule{Point: fault.MailBeforeSend, Kind: fault.Error}, "point", "effect.before-commit, consume.after-ack or smtp.connect"},
		"kind":       {fault.Rule{Point: fault.ConsumeAfterAck, Kind: fault.Error}, "kind", "at consume.after-ack delay, hang, crash or panic"},
		"no kind":    {fault.Rule{Point: fault.ConsumeAfterAck, Kind: "boom"}, "kind", "error, permanent"},
		"match":      {fault.Rule{Point: fault.EffectBeforeCommit, Kind: fault.Error, Match: map[string]string{"product": "x"}}, "match", "group, order_id or product_id"},
		"no match":   {fault.Rule{Point: fault.SMTPConnect, Kind: fault.Error, Match: map[string]string{"order_id": "x"}}, "match", "knows no attributes"},
		"no delay":   {fault.Rule{Point: fault.SMTPConnect, Kind: fault.Delay}, "delay", "needs one"},
		"many times": {fault.Rule{Point: fault.SMTPConnect, Kind: fault.Error, Times: fault.MaxCount + 1}, "times", "0 to"},
	} {
		err := s.SetAll([]fault.Rule{{Point: fault.ConsumeAfterAck, Kind: fault.Crash}, c.rule})
		var invalid *fault.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != c.field || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q about %s", name, err, c.want, c.field)
		}
	}
	if err := s.Clear("nothing"); err == nil {
		t.Error("a point that is none was cleared")
	}
	if err := s.Clear(fault.ConsumeAfterAck); err != nil {
		t.Errorf("a point without a rule: %v", err)
	}
	for i, want := range []bool{true, false, false} { // one wrong rule: none is set
		if got := s.List()[i].Rule != nil; got != want {
			t.Errorf("%s has a rule: %v", s.List()[i].Point, got)
		}
	}
}

// Every point is listed once, with kinds, and New takes no other.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	seen := map[fault.Point]bool{}
	for _, info := range fault.Catalogue() {
		if seen[info.Point] || len(info.Kinds) == 0 || info.Summary == "" || strings.ToLower(string(info.Point)) != string(info.Point) {
			t.Errorf("%+v", info)
		}
		seen[info.Point] = true
	}
	defer func() {
		if recover() == nil {
			t.Error("New took a point that there is not")
		}
	}()
	fault.New(fault.Options{}, "no.point")
}

// Rules change while hits go on; of times=N hits exactly N fire.
func TestSet_IsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	s := set(t, fault.Options{}, "effect.before-commit=error,times=100", fault.EffectBeforeCommit, fault.EffectAfterCommit)
	var fired atomic.Int64
	var hitters, setters sync.WaitGroup
	stop := make(chan struct{})
	setters.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := s.Set(fault.Rule{Point: fault.EffectAfterCommit, Kind: fault.Error}); err != nil {
				t.Error(err)
			}
			s.List()
			if err := s.Clear(fault.EffectAfterCommit); err != nil {
				t.Error(err)
			}
		}
	})
	for range 4 {
		hitters.Go(func() {
			for range 1000 {
				if s.Hit(t.Context(), fault.EffectBeforeCommit) != nil {
					fired.Add(1)
				}
				_ = s.Hit(t.Context(), fault.EffectAfterCommit)
			}
		})
	}
	hitters.Wait()
	close(stop)
	setters.Wait()
	if fired.Load() != 100 {
		t.Errorf("%d fired", fired.Load())
	}
}

// A hit costs next to nothing unless a rule is set at its point.
func BenchmarkHit(b *testing.B) {
	var disabled *fault.Set
	attrs := []fault.Attr{{Key: fault.OrderID, Value: "o-1"}}
	for _, c := range []struct {
		name string
		set  *fault.Set
	}{
		{"disabled", disabled},
		{"enabled", fault.New(fault.Options{}, fault.EffectBeforeCommit)},
		{"elsewhere", set(b, fault.Options{}, "effect.after-commit=error", fault.EffectBeforeCommit, fault.EffectAfterCommit)},
		{"no match", set(b, fault.Options{}, "effect.before-commit=error,match.order_id=o-2", fault.EffectBeforeCommit)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := c.set.Hit(b.Context(), fault.EffectBeforeCommit, attrs...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// It allocates nothing, wherever no rule fires.
func TestHit_AllocatesNothing(t *testing.T) {
	ctx := t.Context()
	for _, s := range []*fault.Set{nil, fault.New(fault.Options{}, fault.EffectBeforeCommit)} {
		if n := testing.AllocsPerRun(100, func() {
			_ = s.Hit(ctx, fault.EffectBeforeCommit, fault.Attr{Key: fault.OrderID, Value: "o-1"})
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}
