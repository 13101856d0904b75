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

func TestPart_EndsWhenTheSupervisorIsKilled(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(exe)
	parent.Env = append(os.Environ(), roleVar+"=parent")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimPrefix(firstLine(t, bufio.NewReader(out)), "up "))
	if err != nil {
		t.Fatal(err)
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
