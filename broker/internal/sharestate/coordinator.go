package sharestate

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/statelog"
)

// Events hears of what happens, for logs and metrics. Methods return quickly and do not
// call the coordinator.
type Events interface {
	statelog.Events
	// Loaded tells that a partition of the topic has been read, or why it could not be.
	Loaded(partition int32, records, unknown, states int, took time.Duration, err error)
}

// Coordinator serves the states of all share groups. It is safe for concurrent use.
type Coordinator struct {
	events Events
	rt     *statelog.Runtime[*Machine, Input]
}

type entry = statelog.Entry[*Machine, Input]

// Start returns a coordinator that is loading.
func Start(log statelog.Log, events Events) *Coordinator {
	c := &Coordinator{events: events}
	c.rt = statelog.New(rules{c}, log, events)
	c.rt.Load()
	return c
}

// Close stops the coordinator. Requests that wait are answered with COORDINATOR_NOT_AVAILABLE.
func (c *Coordinator) Close() error { return c.rt.Close() }

// Ensure makes the internal topic if it does not exist.
func (c *Coordinator) Ensure(ctx context.Context) *kerr.Error { return c.rt.Ensure(ctx) }

// Partition returns the partition of the topic that keeps a key's state, -1 without the topic.
func (c *Coordinator) Partition(k Key) int32 { return c.rt.Partition(k.String()) }

// Initialize gives a partition a start, and forgets what was known of it.
func (c *Coordinator) Initialize(ctx context.Context, k Key, epoch int32, start int64) *kerr.Error {
	if err := c.Ensure(ctx); err != nil {
		return err
	}
	return c.call(ctx, k, func(ref Ref) Input { return Initialize{ref, epoch, start} }).Err
}

// Write takes in what has changed; Ref is filled in. It returns when that is durable.
func (c *Coordinator) Write(ctx context.Context, k Key, in Write) *kerr.Error {
	return c.call(ctx, k, func(ref Ref) Input { in.Ref = ref; return in }).Err
}

// Read returns what is known of a partition. INVALID_REQUEST: nobody has initialized it.
func (c *Coordinator) Read(ctx context.Context, k Key, leaderEpoch int32) Answer {
	return c.call(ctx, k, func(ref Ref) Input { return Read{ref, leaderEpoch} })
}

// Summary returns what is known of a partition, without a state if nothing is.
func (c *Coordinator) Summary(ctx context.Context, k Key) Answer {
	return c.call(ctx, k, func(ref Ref) Input { return Summary{ref} })
}

// Delete forgets a partition.
func (c *Coordinator) Delete(ctx context.Context, k Key) *kerr.Error {
	return c.call(ctx, k, func(ref Ref) Input { return Delete{ref} }).Err
}

func (c *Coordinator) call(ctx context.Context, k Key, prepare func(Ref) Input) Answer {
	a, err := statelog.Call[Answer](ctx, c.rt, k.String(), func(ref uint64) Input { return prepare(Ref(ref)) })
	if err != nil {
		return Answer{Err: err}
	}
	return a
}

// rules feed machines and carry out what they want done.
type rules struct{ c *Coordinator }

// New implements statelog.Rules. The id is a key's text.
func (rules) New(id string, _ time.Time) *Machine {
	k, _ := ParseKey(id) // only keys are turned to ids
	return New(k)
}

// Step implements statelog.Rules.
func (rules) Step(e *entry, now time.Time, in Input) {
	for _, effect := range e.Machine.Step(now, in) {
		switch effect := effect.(type) {
		case Reply:
			e.Reply(uint64(effect.Ref), effect.Answer)
		case Persist:
			e.Write(effect.Seq, statelog.Batch{Records: encode(e.Machine.key, effect.State)})
		}
	}
}

// Exists implements statelog.Rules.
func (rules) Exists(m *Machine) bool { return m.Exists() }

// Deadline implements statelog.Rules: nothing here goes by the clock.
func (rules) Deadline(*Machine) time.Time { return time.Time{} }

// Tick implements statelog.Rules.
func (rules) Tick() Input { return Tick{} }

// Written implements statelog.Rules.
func (rules) Written(seq uint64, err *kerr.Error) Input { return Written{seq, err} }

// Load implements statelog.Rules.
func (r rules) Load(partition int32) statelog.Loader[*Machine, Input] {
	return &loader{rules: r, partition: partition, states: map[Key]*State{}}
}

// Add implements statelog.Loader.
func (l *loader) Add(b statelog.Batch) error {
	for _, r := range b.Records {
		if err := l.add(r); err != nil {
			return err
		}
	}
	return nil
}

// Restore implements statelog.Loader.
func (l *loader) Restore(enter func(id string, m *Machine, begin func(e *entry))) {
	for k, s := range l.states {
		enter(k.String(), Restore(k, s), func(*entry) {})
	}
}

// Done implements statelog.Loader.
func (l *loader) Done(took time.Duration, err error) {
	l.rules.c.events.Loaded(l.partition, l.records, l.unknown, len(l.states), took, err)
}
