package shop

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"millrace/internal/supervise"
)

// part is one process of the shop with what it takes to start it.
type part struct {
	name    string
	command []string                    // subcommand and flags, given the ports
	args    func(p *part) []string      // what follows the subcommand
	env     func(p *part) []string      // the whole environment
	ready   func(context.Context) error // nil when the part does its work
	ports   []*port                     // the first is the one shown
	service string                      // whose instance it is; empty: none
	http    func() string               // where it answers HTTP; nil: nowhere
	drain   time.Duration               // what it gets to end in order

	mu       sync.Mutex      // guards what follows
	sup      *supervise.Part // nil before the first start
	stopped  bool            // by its operator: it stays down until started
	begun    bool            // a process was started
	wasReady bool
	tail     []string // the latest lines of output, for the error when it does not start
}

// tailLength is how many lines of a part that does not start are shown.
const tailLength = 15

func (p *part) keepLine(line []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.tail) == tailLength {
		p.tail = slices.Delete(p.tail, 0, 1)
	}
	p.tail = append(p.tail, string(line))
}

func (p *part) address() string {
	if len(p.ports) == 0 || p.ports[0] == nil { // none was to be had: the part does not stay
		return ""
	}
	return p.ports[0].address()
}

func (p *part) url() string { return "http://" + p.address() }

// spec is asked for before every start of the process. Until the part has been
// ready once, nobody knows its addresses: a port that somebody else has taken
// meanwhile is replaced. Afterwards the addresses stay.
func (p *part) spec(executable string, say func(string, ...any)) (supervise.Spec, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, port := range p.ports {
		if !p.wasReady && !port.free() {
			other, err := pick(p.name, 0, say)
			if err != nil {
				return supervise.Spec{}, err
			}
			say("Port %d was taken by another program, so %s uses %d.", port.number, p.name, other.number)
			p.ports[i] = other
		}
		p.ports[i].release()
	}
	spec := supervise.Spec{Path: executable, Args: append(slices.Clone(p.command), p.args(p)...), Env: p.env(p)}
	p.begun = true
	return spec, nil
}

// life is the part's supervision, or nil before its first start. A part that was
// stopped and started has a new one.
func (p *part) life() *supervise.Part {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sup
}

// pid is the part's process, or 0.
func (p *part) pid() int {
	if life := p.life(); life != nil {
		return life.PID()
	}
	return 0
}

func (p *part) markReady() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wasReady = true
}

func (p *part) isStopped() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopped
}

// startTries is how often a part may die before it was ever ready.
const startTries = 3

// pollEvery is the pause between two looks at readiness.
const pollEvery = 15 * time.Millisecond

// awaitReady waits until the part does its work. It gives up when ctx ends, when
// the supervisor does, or when the part has died too often.
func (p *part) awaitReady(ctx context.Context) error {
	var last error
	life := p.life()
	for {
		changed := life.Changed()
		if life.PID() != 0 {
			if last = p.ready(ctx); last == nil && life.PID() != 0 {
				p.markReady()
				return nil
			}
		}
		if exit := life.LastExit(); exit != nil && life.PID() == 0 && life.Starts() >= startTries {
			return p.startError(exit.Reason)
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return p.startError(fmt.Sprintf("not ready in time: %v", last))
		case <-life.Done():
			reason := "stopped before it was ready"
			if exit := life.LastExit(); exit != nil && !p.isStopped() {
				reason = exit.Reason
			}
			return p.startError(reason)
		case <-changed:
		case <-time.After(pollEvery):
		}
	}
}

func (p *part) startError(reason string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := "(it printed nothing)"
	if len(p.tail) > 0 {
		text = "its last lines:\n  " + strings.Join(p.tail, "\n  ")
	}
	return fmt.Errorf("%s did not start: %s; %s", p.name, reason, text)
}

// httpReady asks a part's /readyz.
func httpReady(client *http.Client, url func() string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url()+"/readyz", nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", req.URL, res.Status)
		}
		return nil
	}
}
