package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"time"
)

// Spec says how to start a part once.
type Spec struct {
	Path string
	Args []string // without the program's name
	Env  []string // the whole environment of the child
	Dir  string
}

// Exit is how a process ended.
type Exit struct {
	Code   int    // -1 after a signal
	Reason string // "exit status 1", "signal: killed"
	Uptime time.Duration
}

// Failed reports whether the process did not end cleanly.
func (e Exit) Failed() bool { return e.Code != 0 }

// process is one running child.
type process struct {
	cmd      *exec.Cmd
	lifeline io.WriteCloser // the parent's end of the child's standard input
	started  time.Time
	done     chan struct{} // closed when the process has ended and its output is read
	exit     Exit          // valid after done
}

// drainOutput is how long output is still read after the child's end: a
// grandchild may hold the pipe open for ever.
const drainOutput = 300 * time.Millisecond

// start runs spec on the launcher's thread.
func (l *launcher) start(spec Spec, line func([]byte)) (*process, error) {
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pipe for output: %w", err)
	}
	cmd := exec.Command(spec.Path, spec.Args...) //nolint:noctx // a part is asked to stop, in its turn, not killed with a context
	cmd.Env, cmd.Dir = spec.Env, spec.Dir
	cmd.Stdout, cmd.Stderr = outW, outW
	cmd.SysProcAttr = childAttributes()
	lifeline, err := cmd.StdinPipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lifeline: %w", err), outR.Close(), outW.Close())
	}
	err = l.do(cmd.Start)
	_ = outW.Close() // the child has its own copy
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", spec.Path, err), outR.Close(), lifeline.Close())
	}
	p := &process{cmd: cmd, lifeline: lifeline, started: time.Now(), done: make(chan struct{})}
	read := make(chan struct{})
	go func() {
		defer close(read)
		readLines(outR, line)
	}()
	go func() {
		defer close(p.done)
		err := cmd.Wait()
		p.exit = exitOf(cmd.ProcessState, err, time.Since(p.started))
		if outR.SetReadDeadline(time.Now().Add(drainOutput)) != nil {
			_ = outR.Close() // no deadlines on this system's pipes
		}
		<-read
		_ = outR.Close()
	}()
	return p, nil
}

func exitOf(state *os.ProcessState, err error, uptime time.Duration) Exit {
	if state == nil {
		return Exit{Code: -1, Reason: err.Error(), Uptime: uptime}
	}
	return Exit{Code: state.ExitCode(), Reason: state.String(), Uptime: uptime}
}

// launcher starts every child from one operating system thread that lives as
// long as the supervisor does. Linux sends the parent-death signal when the
// thread that started the child ends, not the process (prctl(2)), and the Go
// runtime may end threads.
type launcher struct {
	calls chan func()
	ended chan struct{}
}

func newLauncher() *launcher {
	l := &launcher{calls: make(chan func()), ended: make(chan struct{})}
	go func() {
		defer close(l.ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for call := range l.calls {
			call()
		}
	}()
	return l
}

func (l *launcher) do(f func() error) error {
	result := make(chan error, 1)
	l.calls <- func() { result <- f() }
	return <-result
}

// close ends the thread's goroutine; no start may follow.
func (l *launcher) close() {
	close(l.calls)
	<-l.ended
}
