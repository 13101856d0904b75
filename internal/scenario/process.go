package scenario

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"millrace/internal/part"
	"millrace/internal/supervise"
)

// lifeline has a part end when this process does.
const lifeline = part.LifelineVar + "=stdin"

// process is a subcommand of this program that runs as a process of its own.
type process struct {
	name string
	part *supervise.Part

	mu   sync.Mutex // guards what follows
	tail []string   // the latest lines of output
}

// tailLength is how many lines are shown of a process that does not start.
const tailLength = 10

// start runs a subcommand. take receives its output line by line; the slice is
// valid during the call only.
func (e *Env) start(name string, args []string, take func([]byte)) *process {
	p := &process{name: name}
	e.mu.Lock()
	e.lines[name] = func(line []byte) {
		p.mu.Lock()
		p.tail = append(p.tail, string(line))
		p.tail = p.tail[max(0, len(p.tail)-tailLength):]
		p.mu.Unlock()
		if take != nil {
			take(line)
		}
	}
	e.mu.Unlock()
	p.part = e.supervisor().Start(name, func() (supervise.Spec, error) {
		return supervise.Spec{Path: e.config.Executable, Args: slices.Clone(args), Env: e.partEnviron()}, nil
	})
	return p
}

// kill ends the process by SIGKILL, without a word of warning, and waits for its end.
func (p *process) kill() error {
	if pid := p.part.PID(); pid != 0 {
		found, err := os.FindProcess(pid)
		if err == nil {
			err = found.Kill()
		}
		if err != nil {
			return fmt.Errorf("kill %s: %w", p.name, err)
		}
	}
	<-p.part.Done()
	return nil
}

// stop asks the process to end and waits; what takes too long is killed.
func (p *process) stop(ctx context.Context, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p.part.Stop(ctx)
}

// failed is the error of a process that ended, or was not ready in time.
func (p *process) failed(reason error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := "it printed nothing"
	if len(p.tail) > 0 {
		text = "its last lines:\n  " + strings.Join(p.tail, "\n  ")
	}
	if exit := p.part.LastExit(); exit != nil {
		return fmt.Errorf("%s ended: %s; %s", p.name, exit.Reason, text)
	}
	return fmt.Errorf("%s is not ready: %w; %s", p.name, reason, text)
}

// Poll waits until a condition holds, looking again and again. The error of the
// latest look tells what was missing when ctx ends.
func Poll(ctx context.Context, what string, look func(context.Context) error) error {
	const pause = 20 * time.Millisecond
	for {
		err := look(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited for %s: %w", what, err)
		case <-time.After(pause):
		}
	}
}
