package supervise

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"

	"millrace/pkg/proctree"
)

// EventKind tells the events of a part apart.
type EventKind int

// The events of a part, in the order in which one life brings them.
const (
	Started  EventKind = iota // a process runs; Event.PID
	Ended                     // it ended without being asked to; Event.Exit
	Waiting                   // a restart follows after Event.Wait
	GaveUp                    // the policy wants no restart
	NotBegun                  // the process could not be started; Event.Err
)

// Event is something that happened to a part.
type Event struct {
	Kind EventKind
	Part string
	PID  int
	Exit Exit
	Wait time.Duration
	Err  error
}

// Part is one supervised program. Its methods may be called from any goroutine.
type Part struct {
	name string
	spec func() (Spec, error)
	sup  *Supervisor

	stopping chan struct{} // closed by the first Stop
	killing  chan struct{} // closed by the first Kill
	done     chan struct{} // closed when no process runs and none will follow
	stopOnce sync.Once
	killOnce sync.Once

	mu       sync.Mutex // guards what follows
	process  *process   // nil while none runs
	frozen   bool       // the process is held by Freeze
	pid      int        // 0 while no process runs
	starts   int
	lastExit *Exit
	changed  chan struct{} // closed and replaced at each change
}

// Name is the part's name, as in the log's prefix.
func (p *Part) Name() string { return p.name }

// PID is the process that runs now, or 0.
func (p *Part) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pid
}

// Starts counts how often the part was started.
func (p *Part) Starts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starts
}

// LastExit is how the latest finished process ended, or nil.
func (p *Part) LastExit() *Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastExit
}

// Changed returns a channel that is closed at the next start or end.
func (p *Part) Changed() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

func (p *Part) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Done is closed when the part has ended for good.
func (p *Part) Done() <-chan struct{} { return p.done }

// Stop asks the part to end and waits for it; when ctx ends first, the process
// is killed. It may be called more than once.
func (p *Part) Stop(ctx context.Context) {
	p.stopOnce.Do(func() { close(p.stopping) })
	select {
	case <-p.done:
		return
	case <-ctx.Done():
	}
	p.Kill()
}

// Kill ends the part at once and waits for its end.
func (p *Part) Kill() {
	p.stopOnce.Do(func() { close(p.stopping) })
	p.killOnce.Do(func() { close(p.killing) })
	<-p.done
}

// ErrNotRunning is returned for what needs a process when none runs.
var ErrNotRunning = errors.New("no process of it runs")

// Crash ends the process, and everything that it has started, as kill -9 does. The
// policy decides what follows, as after any other death.
func (p *Part) Crash() error {
	return p.signal(func(proc *process) error { return proctree.Kill(proc.cmd.Process.Pid) })
}

// Freeze holds the process and everything that it has started: it is there and does
// nothing. It is thawed before it is stopped. It returns proctree.ErrUnsupported where
// the system has no such thing.
func (p *Part) Freeze() error {
	return p.signal(func(proc *process) error {
		if err := proctree.Freeze(proc.cmd.Process.Pid); err != nil {
			return err
		}
		p.frozen = true
		return nil
	})
}

// Thaw lets a frozen process go on.
func (p *Part) Thaw() error {
	return p.signal(func(proc *process) error {
		if err := proctree.Thaw(proc.cmd.Process.Pid); err != nil {
			return err
		}
		p.frozen = false
		return nil
	})
}

// Frozen tells whether the process is held.
func (p *Part) Frozen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frozen
}

// signal does something to the process while it is certain that it is still there.
func (p *Part) signal(do func(*process) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.process == nil {
		return ErrNotRunning
	}
	select {
	case <-p.process.done: // its id may be somebody else's
		return ErrNotRunning
	default:
	}
	err := do(p.process)
	if errors.Is(err, syscall.ESRCH) { // it has ended in this moment
		return ErrNotRunning
	}
	return err
}

// thawToEnd lets a frozen process hear that it has to end.
func (p *Part) thawToEnd() {
	p.mu.Lock()
	frozen := p.frozen
	p.mu.Unlock()
	if frozen {
		_ = p.Thaw() // it may have ended by itself
	}
}

func (p *Part) note(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.changed)
	p.changed = make(chan struct{})
}

// run is the part's life: start, wait, decide, wait, start again.
func (p *Part) run() {
	defer close(p.done)
	short := 0
	for {
		exit, started := p.runOnce()
		select {
		case <-p.stopping:
			return
		default:
		}
		if started {
			p.sup.event(Event{Kind: Ended, Part: p.name, Exit: exit})
		}
		if !p.sup.options.Policy.restarts(exit.Failed()) {
			p.sup.event(Event{Kind: GaveUp, Part: p.name, Exit: exit})
			return
		}
		var wait time.Duration
		wait, short = p.sup.options.Backoff.next(exit.Uptime, short)
		p.sup.event(Event{Kind: Waiting, Part: p.name, Wait: wait})
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-p.stopping:
			timer.Stop()
			return
		}
	}
}

// runOnce starts the part and waits for its end, asked for or not.
func (p *Part) runOnce() (exit Exit, started bool) {
	spec, err := p.spec()
	var proc *process
	if err == nil {
		proc, err = p.sup.launcher.start(spec, func(line []byte) { p.sup.options.Line(p.name, line) })
	}
	if err != nil {
		p.sup.event(Event{Kind: NotBegun, Part: p.name, Err: err})
		exit = Exit{Code: -1, Reason: err.Error()}
		p.note(func() { p.lastExit = &exit })
		return exit, false
	}
	pid := proc.cmd.Process.Pid
	p.note(func() { p.process, p.frozen, p.pid = proc, false, pid; p.starts++ })
	p.sup.event(Event{Kind: Started, Part: p.name, PID: pid})
	select {
	case <-proc.done:
	case <-p.stopping:
		proc.interrupt()
		p.thawToEnd()
		select {
		case <-proc.done:
		case <-p.killing:
			p.thawToEnd() // what it has started must see its end
			proc.kill()
			<-proc.done
		}
	}
	_ = proc.lifeline.Close()
	exit = proc.exit
	p.note(func() { p.process, p.frozen, p.pid = nil, false, 0; p.lastExit = &exit })
	return exit, true
}
