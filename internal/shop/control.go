package shop

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"millrace/internal/supervise"
	"millrace/pkg/fault"
)

// State is what a part does at the moment.
type State string

// The states.
const (
	Running    State = "running"
	Frozen     State = "frozen"     // its process is there and does nothing
	Stopped    State = "stopped"    // by its operator; it stays down until started
	Restarting State = "restarting" // it has ended and is started again after a while
	Ended      State = "ended"      // the restart policy wants no further start
)

// PartInfo is a part as its operator sees it.
type PartInfo struct {
	Name    string `json:"name"`
	Service string `json:"service,omitempty"` // whose instance it is
	State   State  `json:"state"`
	PID     int    `json:"pid,omitempty"` // absent while no process runs
	Starts  int    `json:"starts"`        // since it was last started by its operator
	Address string `json:"address"`
	URL     string `json:"url,omitempty"` // where it answers HTTP
}

// Errors of the operations on parts.
var (
	// ErrClosed is returned once the shop is being taken down.
	ErrClosed = errors.New("the shop is being stopped")
	// ErrFaultsOff is returned by Kill and Freeze unless the shop was started with faults.
	ErrFaultsOff = errors.New("parts can be killed and frozen only in a shop that was started for it: millrace up --faults")
	// ErrNotRunning is wrapped by what needs a process when none runs.
	ErrNotRunning = supervise.ErrNotRunning
)

// UnknownError is returned for a part or a service that there is not.
type UnknownError struct {
	What    string // "part", "service" or "instance of NAME"
	Name    string
	Allowed []string
	Nearest string // or ""
}

func (e *UnknownError) Error() string {
	text := fmt.Sprintf("there is no %s %q; there is: %s", e.What, e.Name, strings.Join(e.Allowed, ", "))
	if e.Nearest != "" {
		text += "; the nearest is " + e.Nearest
	}
	return text
}

// RefusedError is returned for an operation that the part's state or place forbids.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

func unknown(what, name string, allowed []string) error {
	const shown = 60
	if len(name) > shown {
		name = name[:shown] + "…"
	}
	return &UnknownError{What: what, Name: name, Allowed: allowed, Nearest: fault.Nearest(name, allowed)}
}

// Parts lists all parts in the order of their way up.
func (s *Shop) Parts() []PartInfo {
	var list []PartInfo
	for _, p := range s.parts() {
		list = append(list, p.info())
	}
	return list
}

// Part returns one part, or an *UnknownError.
func (s *Shop) Part(name string) (PartInfo, error) {
	p, err := s.part(name)
	if err != nil {
		return PartInfo{}, err
	}
	return p.info(), nil
}

func (p *part) info() PartInfo {
	i := PartInfo{Name: p.name, Service: p.service, Address: p.address(), State: Restarting}
	if p.http != nil {
		i.URL = p.http()
	}
	life := p.life()
	if life == nil {
		i.State = Stopped
		return i
	}
	i.PID, i.Starts = life.PID(), life.Starts()
	select {
	case <-life.Done():
		i.State, i.PID = Ended, 0
		if p.isStopped() {
			i.State = Stopped
		}
		return i
	default:
	}
	switch {
	case life.Frozen():
		i.State = Frozen
	case i.PID != 0:
		i.State = Running
	}
	return i
}

func (s *Shop) part(name string) (*part, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if p := s.byName[name]; p != nil {
		if p.life() == nil {
			return nil, &RefusedError{name + " is being started for the first time"}
		}
		return p, nil
	}
	names := make([]string, 0, len(s.byName))
	for name := range s.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return nil, unknown("part", name, names)
}

// Stop stops a part in order and returns when its process has ended. It stays down until
// Start. Stopping one that is down changes nothing; one that is frozen is thawed first.
func (s *Shop) Stop(ctx context.Context, name string) error {
	p, err := s.part(name)
	if err != nil {
		return err
	}
	p.mu.Lock()
	before := p.stopped
	p.stopped = true
	p.mu.Unlock()
	if !before {
		s.log.Say("%s is stopped", name)
	}
	s.stop(ctx, nil, p)
	s.publishChange()
	return nil
}

// Start starts a part that is stopped, or that the restart policy has given up, and
// returns when it does its work. Starting one that runs changes nothing.
func (s *Shop) Start(ctx context.Context, name string) error {
	p, err := s.part(name)
	if err != nil {
		return err
	}
	life := p.life()
	if life.Frozen() {
		return &RefusedError{name + " is frozen, not stopped: thaw it"}
	}
	if !p.isStopped() {
		select {
		case <-life.Done(): // the policy has given it up
		default:
			return s.Await(ctx, name)
		}
	}
	select {
	case <-life.Done(): // else it is still on its way down
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.relaunch(p, life); err != nil {
		return err
	}
	return s.await(ctx, startTimeout, p)
}

// relaunch gives a part a new life after an old one, once.
func (s *Shop) relaunch(p *part, old *supervise.Part) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case p.life() == old:
		s.launch(p)
	}
	return nil
}

// Await returns when a part does its work, whatever it went through before: it waits for
// a restart, not for a part that is stopped.
func (s *Shop) Await(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		p, err := s.part(name)
		if err != nil {
			return err
		}
		switch i := p.info(); i.State {
		case Stopped, Ended:
			return fmt.Errorf("%s is %s: %w", name, i.State, ErrNotRunning)
		case Running:
			if err = p.ready(ctx); err == nil {
				p.markReady()
				return nil
			}
		default:
			err = fmt.Errorf("it is %s", i.State)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; %w", name, err, ctx.Err())
		case <-time.After(pollEvery):
		}
	}
}

// Kill ends a part, and all that it has started, as kill -9 does. The restart policy
// decides what follows. Postgres dies as in a crash and recovers when it is started again.
func (s *Shop) Kill(ctx context.Context, name string) error {
	life, err := s.victim(name)
	if err != nil {
		return err
	}
	pid := life.PID()
	s.log.Say("%s (pid %d) is killed", name, pid)
	if err := life.Crash(); err != nil {
		return fmt.Errorf("kill %s: %w", name, err)
	}
	for {
		changed := life.Changed()
		if life.PID() != pid {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Freeze holds a part, and all that it has started (SIGSTOP): it is there, and does
// nothing. Freezing a frozen one changes nothing.
func (s *Shop) Freeze(name string) error {
	life, err := s.victim(name)
	if err != nil {
		return err
	}
	if err := life.Freeze(); err != nil {
		return fmt.Errorf("freeze %s: %w", name, err)
	}
	s.log.Say("%s is frozen", name)
	s.publishChange()
	return nil
}

// Thaw lets a frozen part go on. Thawing one that runs changes nothing.
func (s *Shop) Thaw(name string) error {
	p, err := s.part(name)
	if err != nil {
		return err
	}
	if err := p.life().Thaw(); err != nil {
		return fmt.Errorf("thaw %s: %w", name, err)
	}
	s.log.Say("%s goes on", name)
	s.publishChange()
	return nil
}

// victim is the life of a part that may be made to fail.
func (s *Shop) victim(name string) (*supervise.Part, error) {
	p, err := s.part(name)
	switch {
	case err != nil:
		return nil, err
	case !s.config.Faults:
		return nil, ErrFaultsOff
	}
	return p.life(), nil
}

// AddInstance starts one more instance of a service and returns its name when it does
// its work. One that does not start is not added.
func (s *Shop) AddInstance(ctx context.Context, service string) (name string, err error) {
	p, err := s.nextInstance(service)
	if p == nil {
		return "", err
	}
	if err == nil {
		err = s.relaunch(p, nil)
	}
	if err == nil {
		err = s.await(ctx, startTimeout, p)
	}
	if err != nil {
		s.stop(context.WithoutCancel(ctx), nil, p)
		s.remove(p)
		return "", err
	}
	s.log.Say("%s is there (%s)", p.name, p.address())
	s.publishChange()
	return p.name, nil
}

// nextInstance adds an instance of a service with the first number that is free. It is not
// started yet.
func (s *Shop) nextInstance(service string) (*part, error) {
	if !slices.Contains(Services, service) {
		return nil, unknown("service", service, Services)
	}
	s.adding.Lock()
	defer s.adding.Unlock()
	for i := range maxInstances {
		if s.service(instanceName(service, i)) == nil {
			p := s.newInstance(service, i)
			return p, s.addInstance(p, 0)
		}
	}
	return nil, &RefusedError{fmt.Sprintf("%s has %d instances, which is the most there can be", service, maxInstances)}
}

// RemoveInstance stops an instance in order and forgets it. The first instance stays:
// its address is the service's.
func (s *Shop) RemoveInstance(ctx context.Context, service, name string) error {
	if !slices.Contains(Services, service) {
		return unknown("service", service, Services)
	}
	var names []string
	var found *part
	for _, p := range s.instances() {
		if p.service == service {
			names = append(names, p.name)
			if p.name == name {
				found = p
			}
		}
	}
	switch {
	case found == nil:
		return unknown("instance of "+service, name, names)
	case name == instanceName(service, 0):
		return &RefusedError{name + " is the first instance, which stays: stop it instead"}
	}
	if err := s.Stop(ctx, name); err != nil {
		return err
	}
	s.remove(found)
	s.log.Say("%s is gone", name)
	s.publishChange()
	return nil
}

// remove forgets an instance whose process has ended.
func (s *Shop) remove(p *part) {
	s.mu.Lock()
	file := s.logs[p.name]
	s.services = slices.DeleteFunc(s.services, func(other *part) bool { return other == p })
	delete(s.byName, p.name)
	delete(s.logs, p.name)
	s.mu.Unlock()
	if file != nil {
		file.close()
	}
	for _, port := range p.ports {
		if port != nil {
			port.release()
		}
	}
}
