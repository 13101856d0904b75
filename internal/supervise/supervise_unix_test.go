//go:build unix

package supervise

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestPart_RestartsAfterKill(t *testing.T) {
	t.Parallel()
	w := newWitness()
	s := New(w.options())
	defer s.Close()
	p := s.Start("a", self("part"))
	w.until(t, "first start", w.has("up"))
	first := p.PID()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.until(t, "second start", func(w *witness) bool { return w.count(Started) == 2 })
	if p.PID() == first || p.Starts() != 2 || !p.LastExit().Failed() {
		t.Fatalf("pid %d (first %d), starts %d, last exit %+v", p.PID(), first, p.Starts(), p.LastExit())
	}
}

func TestPart_StopLetsItDrain(t *testing.T) {
	t.Parallel()
	w := newWitness()
	s := New(w.options())
	defer s.Close()
	p := s.Start("a", self("part"))
	w.until(t, "start", w.has("up"))
	p.Stop(context.Background())
	w.until(t, "drained line", w.has("drained"))
	if p.PID() != 0 || w.count(Ended) != 0 {
		t.Fatalf("pid %d, events %+v", p.PID(), w.events)
	}
}

func TestPart_StopKillsTheStubborn(t *testing.T) {
	t.Parallel()
	w := newWitness()
	s := New(w.options())
	defer s.Close()
	p := s.Start("a", self("stubborn"))
	w.until(t, "start", w.has("up"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // the deadline has passed
	p.Stop(ctx)
	if exit := p.LastExit(); exit == nil || exit.Code != -1 {
		t.Fatalf("last exit %+v, want a signal", exit)
	}
}

// A crash is no stop: the policy starts the part again, and what the crashed process had
// to do at its end it has not done.
func TestPart_CrashIsFollowedByAStart(t *testing.T) {
	t.Parallel()
	for _, frozen := range []bool{false, true} {
		w := newWitness()
		s := New(w.options())
		defer s.Close()
		p := s.Start("a", self("part"))
		w.until(t, "first start", w.has("up"))
		first := p.PID()
		if frozen {
			if err := p.Freeze(); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Crash(); err != nil {
			t.Fatal(err)
		}
		w.until(t, "second start", func(w *witness) bool { return w.count(Started) == 2 })
		if p.PID() == first || p.Frozen() || p.LastExit().Reason != "signal: killed" || w.said("drained") {
			t.Errorf("pid %d (first %d), frozen %v, last exit %+v", p.PID(), first, p.Frozen(), p.LastExit())
		}
		p.Stop(context.Background())
		for name, act := range map[string]func() error{"crash": p.Crash, "freeze": p.Freeze, "thaw": p.Thaw} {
			if err := act(); !errors.Is(err, ErrNotRunning) {
				t.Errorf("%s of a part that is stopped: %v", name, err)
			}
		}
	}
}

// A frozen part does nothing, goes on when it is thawed, and drains when it is stopped
// while it is frozen.
func TestPart_FrozenIsThawedToStop(t *testing.T) {
	t.Parallel()
	w := newWitness()
	s := New(w.options())
	defer s.Close()
	p := s.Start("a", self("ticker"))
	ticks := func() int {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.lines)
	}
	w.until(t, "ticks", func(w *witness) bool { return len(w.lines) > 3 })
	for range 2 {
		if err := p.Freeze(); err != nil || !p.Frozen() {
			t.Fatal(err)
		}
	}
	// What was written before may still come in: the number has to come to rest.
	for before := -1; before != ticks(); <-time.After(50 * time.Millisecond) {
		before = ticks()
	}
	for range 2 {
		if err := p.Thaw(); err != nil || p.Frozen() {
			t.Fatal(err)
		}
	}
	now := ticks()
	w.until(t, "more ticks", func(w *witness) bool { return len(w.lines) > now+3 })
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	p.Stop(context.Background())
	if !w.said("drained") || p.Frozen() {
		t.Errorf("it did not drain: %q", w.lines[max(0, len(w.lines)-3):])
	}
}

// A part that is frozen when its supervisor is killed does not stay behind.
func TestPart_FrozenEndsWhenTheSupervisorIsKilled(t *testing.T) {
	t.Parallel()
	killParent(t, "freezing parent")
}

func TestPart_EndsWhenTheSupervisorIsKilled(t *testing.T) {
	t.Parallel()
	killParent(t, "parent")
}

// killParent kills a process that supervises a part, and waits for the end of the part.
func killParent(t *testing.T, role string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(exe)
	parent.Env = append(os.Environ(), roleVar+"="+role)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	pid, err := strconv.Atoi(strings.TrimPrefix(firstLine(t, lines), "up "))
	if err != nil {
		t.Fatal(err)
	}
	if role == "freezing parent" {
		firstLine(t, lines) // it is frozen
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("process %d outlives its parent", pid)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// alive reports whether a process exists and is no zombie that waits for a reaper.
func alive(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return !errors.Is(err, os.ErrNotExist)
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}
