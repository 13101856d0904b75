package supervise

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/internal/part"
)

// The test binary plays the children: the variable names the role.
const roleVar = "SUPERVISE_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		os.Exit(play(role))
	}
	goleak.VerifyTestMain(m)
}

func play(role string) int {
	switch role {
	case "clean":
		fmt.Println("done")
		return 0
	case "fails":
		fmt.Fprintln(os.Stderr, "no luck")
		return 7
	case "stubborn": // hears neither signals nor its lifeline
		signal.Ignore(syscall.SIGTERM, os.Interrupt)
		fmt.Println("up")
		<-time.After(time.Hour) // an empty select would be a deadlock to the runtime
	case "part": // a well-behaved part
		_ = part.Run(context.Background(), func(ctx context.Context) error {
			fmt.Println("up", os.Getpid())
			<-ctx.Done()
			fmt.Println("drained")
			return nil
		})
		return 0
	case "ticker": // a part that says something all the time
		_ = part.Run(context.Background(), func(ctx context.Context) error {
			for {
				select {
				case <-ctx.Done():
					fmt.Println("drained")
					return nil
				case <-time.After(time.Millisecond):
					fmt.Println("tick")
				}
			}
		})
		return 0
	case "freezing parent": // supervises a part and tells its pid, freezes it and says so, until killed
		up := make(chan struct{}, 1)
		s := New(Options{Line: func(_ string, line []byte) { fmt.Printf("%s\n", line); up <- struct{}{} }})
		p := s.Start("child", self("part"))
		<-up
		fmt.Println("frozen", p.Freeze())
		select {}
	case "parent": // supervises a part and tells its pid, until killed
		s := New(Options{Line: func(_ string, line []byte) { fmt.Printf("%s\n", line) }})
		s.Start("child", self("part"))
		select {}
	}
	return 99
}

func self(role string) func() (Spec, error) {
	return func() (Spec, error) {
		exe, err := os.Executable()
		env := append(os.Environ(), roleVar+"="+role, part.LifelineVar+"=stdin")
		return Spec{Path: exe, Env: env}, err
	}
}

// witness collects what a supervisor reports.
type witness struct {
	mu     sync.Mutex
	lines  []string
	events []Event
	news   chan struct{}
}

func newWitness() *witness { return &witness{news: make(chan struct{}, 1)} }

func (w *witness) record(f func()) {
	w.mu.Lock()
	f()
	w.mu.Unlock()
	select {
	case w.news <- struct{}{}:
	default:
	}
}

func (w *witness) options() Options {
	return Options{
		Backoff: Backoff{First: time.Millisecond, Max: 4 * time.Millisecond, Steady: time.Minute},
		Line:    func(_ string, line []byte) { w.record(func() { w.lines = append(w.lines, string(line)) }) },
		Event:   func(e Event) { w.record(func() { w.events = append(w.events, e) }) },
	}
}

// until waits for a condition on what was recorded.
func (w *witness) until(t *testing.T, what string, cond func(*witness) bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		w.mu.Lock()
		ok := cond(w)
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-w.news:
		case <-deadline:
			t.Fatalf("no %s; lines %q, events %+v", what, w.lines, w.events)
		}
	}
}

func (w *witness) has(prefix string) func(*witness) bool {
	return func(w *witness) bool {
		for _, l := range w.lines {
			if strings.HasPrefix(l, prefix) {
				return true
			}
		}
		return false
	}
}

// said tells whether a line that begins so has come.
func (w *witness) said(prefix string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.has(prefix)(w)
}

func (w *witness) count(kind EventKind) int {
	n := 0
	for _, e := range w.events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

func firstLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}
