package supervise

import (
	"slices"
	"sync"
)

// Options say how a supervisor treats its parts.
type Options struct {
	Policy  Policy
	Backoff Backoff
	// Line receives each line that a part prints. It is called from one goroutine
	// per part; the slice is only valid during the call.
	Line func(part string, line []byte)
	// Event receives what happens to parts, from one goroutine per part.
	Event func(Event)
}

// Supervisor owns the parts that it started.
type Supervisor struct {
	options  Options
	launcher *launcher

	mu     sync.Mutex // guards what follows
	parts  []*Part
	closed bool
}

// New makes a supervisor. Close it when all parts are stopped.
func New(o Options) *Supervisor {
	if o.Policy == "" {
		o.Policy = OnFailure
	}
	if o.Backoff == (Backoff{}) {
		o.Backoff = DefaultBackoff
	}
	if o.Line == nil {
		o.Line = func(string, []byte) {}
	}
	return &Supervisor{options: o, launcher: newLauncher()}
}

// Start runs a part. The specification is asked for before every start, so that
// a restart may use another address than the start before.
func (s *Supervisor) Start(name string, spec func() (Spec, error)) *Part {
	p := &Part{
		name: name, spec: spec, sup: s,
		stopping: make(chan struct{}), killing: make(chan struct{}), done: make(chan struct{}),
		changed: make(chan struct{}),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		close(p.done)
		return p
	}
	// One that has ended for good, as before a new start of the same part, is forgotten.
	s.parts = slices.DeleteFunc(s.parts, (*Part).ended)
	s.parts = append(s.parts, p)
	go p.run()
	return p
}

// Close kills what still runs and ends the supervisor. It may be called twice.
func (s *Supervisor) Close() {
	s.mu.Lock()
	closed, parts := s.closed, s.parts
	s.closed = true
	s.mu.Unlock()
	for _, p := range parts {
		p.Kill()
	}
	if !closed {
		s.launcher.close()
	}
}

func (s *Supervisor) event(e Event) {
	if s.options.Event != nil {
		s.options.Event(e)
	}
}
