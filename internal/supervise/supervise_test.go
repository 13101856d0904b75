package supervise

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPolicy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy     Policy
		role       string
		wantStarts bool // a second start follows
	}{
		{Always, "clean", true},
		{Always, "fails", true},
		{OnFailure, "clean", false},
		{OnFailure, "fails", true},
		{Never, "clean", false},
		{Never, "fails", false},
	} {
		t.Run(string(c.policy)+"/"+c.role, func(t *testing.T) {
			t.Parallel()
			w := newWitness()
			o := w.options()
			o.Policy = c.policy
			s := New(o)
			defer s.Close()
			p := s.Start("a", self(c.role))
			if c.wantStarts {
				w.until(t, "second start", func(w *witness) bool { return w.count(Started) >= 2 })
				return
			}
			w.until(t, "end for good", func(w *witness) bool { return w.count(GaveUp) == 1 })
			<-p.Done()
			if p.Starts() != 1 {
				t.Fatalf("%d starts", p.Starts())
			}
		})
	}
}

func TestParsePolicy(t *testing.T) {
	t.Parallel()
	if p, err := ParsePolicy("never"); p != Never || err != nil {
		t.Fatal(p, err)
	}
	if _, err := ParsePolicy("sometimes"); err == nil || !strings.Contains(err.Error(), "always, on-failure, never") {
		t.Fatalf("error %v does not say what is allowed", err)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	b := Backoff{First: 200 * time.Millisecond, Max: time.Second, Steady: 10 * time.Second}
	var waits []time.Duration
	short := 0
	for _, uptime := range []time.Duration{0, 0, 0, 0, 0, time.Minute, 0} {
		var wait time.Duration
		wait, short = b.next(uptime, short)
		waits = append(waits, wait/time.Millisecond)
	}
	if want := []time.Duration{200, 400, 800, 1000, 1000, 200, 200}; !slices.Equal(waits, want) {
		t.Fatalf("waits %v, want %v ms", waits, want)
	}
}

func TestStart_ReportsWhatCannotBegin(t *testing.T) {
	t.Parallel()
	w := newWitness()
	o := w.options()
	o.Policy = Never
	s := New(o)
	defer s.Close()
	p := s.Start("a", func() (Spec, error) { return Spec{}, errors.New("no such thing") })
	<-p.Done()
	w.until(t, "report", func(w *witness) bool { return w.count(NotBegun) == 1 && w.count(GaveUp) == 1 })
}

func TestReadLines(t *testing.T) {
	t.Parallel()
	var got []string
	long := strings.Repeat("x", maxLine+10)
	readLines(strings.NewReader("one\r\n\ntwo\n"+long+"\nlast"), func(b []byte) { got = append(got, string(b)) })
	want := []string{"one", "", "two", long[:maxLine], long[maxLine:], "last"}
	if !slices.Equal(got, want) {
		t.Fatalf("%d lines: %.80q", len(got), got)
	}
}

// Parts are started, stopped and killed from several goroutines at once.
func TestLifecycleStress(t *testing.T) {
	t.Parallel()
	rounds := 10
	if testing.Short() {
		rounds = 2
	}
	for range rounds {
		w := newWitness()
		s := New(w.options())
		var wg sync.WaitGroup
		for range 3 {
			p := s.Start("a", self("part"))
			for range 2 {
				wg.Go(func() { p.Stop(context.Background()) })
			}
			wg.Go(p.Kill)
		}
		wg.Go(s.Close)
		wg.Wait()
		s.Close()
		<-s.Start("late", self("part")).Done()
	}
}
