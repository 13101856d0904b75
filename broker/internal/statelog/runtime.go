package statelog

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Rules tell how machines of type M are made, and how inputs of type I are fed to them.
// M is a pointer to the machine. Its methods are called with the entry's lock held.
type Rules[M, I any] interface {
	// New makes the machine for an id that has none.
	New(id string, now time.Time) M
	// Step feeds an input and carries out what the machine wants done.
	Step(e *Entry[M, I], now time.Time, in I)
	// Exists reports whether the machine is to be kept. One that only answered a question,
	// and one that is deleted, are not.
	Exists(m M) bool
	// Deadline is when the machine wants a tick, zero for never.
	Deadline(m M) time.Time
	// Tick is the input that tells the time and nothing else.
	Tick() I
	// Written is the input that tells what became of [Entry.Write] seq.
	Written(seq uint64, err *kerr.Error) I
	// Load begins to read a partition.
	Load(partition int32) Loader[M, I]
}

// Loader gathers what a partition holds.
type Loader[M, I any] interface {
	// Add takes one batch in, and keeps nothing of it. An error means that the partition
	// cannot be served.
	Add(b Batch) error
	// Restore brings what was read to life: enter makes a machine known, and calls begin
	// with its entry locked, to carry out what it wants done first.
	Restore(enter func(id string, m M, begin func(e *Entry[M, I])))
	// Done tells how it ended.
	Done(took time.Duration, err error)
}

// Runtime serves all machines of one topic. It is safe for concurrent use.
type Runtime[M, I any] struct {
	rules  Rules[M, I]
	log    Log
	events Events
	timers *timers
	opened atomic.Pointer[opened[M, I]] // nil until the topic exists

	creating sync.Mutex // held while the topic is made

	// mu guards closed.
	mu     sync.Mutex
	closed bool
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// opened is the topic as it is served. One that is deleted and made again is another.
type opened[M, I any] struct {
	topic  [16]byte
	shards []*shard[M, I]
}

// loaders is how many partitions are read at a time.
const loaders = 4

// New returns a runtime that serves nothing yet: its owner, whose rules may want it, calls Load.
func New[M, I any](rules Rules[M, I], log Log, events Events) *Runtime[M, I] {
	ctx, cancel := context.WithCancel(context.Background())
	return &Runtime[M, I]{rules: rules, log: log, events: events, timers: newTimers(), ctx: ctx, cancel: cancel}
}

// Load begins to read all there is. It does not wait for it.
func (r *Runtime[M, I]) Load() {
	r.Spawn(func() { r.timers.run(r.ctx.Done()) })
	if id, n := r.log.Topic(); n > 0 {
		shards := r.open(id, n)
		next := make(chan *shard[M, I], n)
		for _, s := range shards {
			next <- s
		}
		close(next)
		for range min(loaders, n) {
			r.Spawn(func() {
				for s := range next {
					s.load()
				}
			})
		}
	}
}

// open makes the shards, loading.
func (r *Runtime[M, I]) open(topic [16]byte, n int32) []*shard[M, I] {
	o := &opened[M, I]{topic, make([]*shard[M, I], n)}
	for i := range o.shards {
		o.shards[i] = &shard[M, I]{r: r, of: o, partition: int32(i), ended: make(chan struct{}), entries: map[string]*Entry[M, I]{}}
	}
	r.opened.Store(o)
	return o.shards
}

// shards are those of the topic that there is, nil if there is none: what belongs to one that was deleted ends here.
func (r *Runtime[M, I]) shards() []*shard[M, I] {
	o := r.opened.Load()
	if o == nil || r.end(o) {
		return nil
	}
	return o.shards
}

// end ends the shards of a topic that was deleted, once. Their machines are forgotten, as by a Kafka that
// leads the topic's partitions no longer; requests that wait are answered with NOT_COORDINATOR.
func (r *Runtime[M, I]) end(o *opened[M, I]) bool {
	if id, n := r.log.Topic(); n > 0 && id == o.topic {
		return false
	}
	if r.opened.CompareAndSwap(o, nil) {
		for _, s := range o.shards {
			s.end()
		}
	}
	return true
}

// Close stops the runtime. Requests that wait are answered with
// COORDINATOR_NOT_AVAILABLE. It may be called more than once.
func (r *Runtime[M, I]) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
	return nil
}

// Context ends with Close.
func (r *Runtime[M, I]) Context() context.Context { return r.ctx }

// Spawn runs f in a goroutine that Close waits for; not after Close.
func (r *Runtime[M, I]) Spawn(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.wg.Go(f)
	return true
}

// Ensure makes the internal topic if it does not exist. Requests that look for a
// coordinator, and those that create machines, call it.
func (r *Runtime[M, I]) Ensure(ctx context.Context) *kerr.Error {
	if r.shards() != nil {
		return nil
	}
	r.creating.Lock()
	defer r.creating.Unlock()
	if r.shards() != nil {
		return nil
	}
	if r.ctx.Err() != nil {
		return kerr.CoordinatorNotAvailable
	}
	if err := r.log.Create(ctx); err != nil {
		return kerr.CoordinatorNotAvailable
	}
	id, n := r.log.Topic()
	if n <= 0 {
		return kerr.CoordinatorNotAvailable
	}
	for _, s := range r.open(id, n) {
		s.load() // there is nothing in it, or little
	}
	return nil
}

// Partition returns the partition that keeps an id's machine, -1 without the topic.
func (r *Runtime[M, I]) Partition(id string) int32 {
	shards := r.shards()
	if shards == nil {
		return -1
	}
	return PartitionFor(id, int32(len(shards)))
}

// shardOf returns the shard that serves an id; nil if the topic does not exist, so
// that no machine does.
func (r *Runtime[M, I]) shardOf(id string) (*shard[M, I], *kerr.Error) {
	if r.ctx.Err() != nil {
		return nil, kerr.CoordinatorNotAvailable
	}
	shards := r.shards()
	if shards == nil {
		return nil, nil
	}
	s := shards[PartitionFor(id, int32(len(shards)))]
	return s, s.ready()
}

// shardAt returns the shard of a partition, or why it cannot serve.
func (r *Runtime[M, I]) shardAt(partition int32) (*shard[M, I], *kerr.Error) {
	shards := r.shards()
	if r.ctx.Err() != nil || partition < 0 || int(partition) >= len(shards) {
		return nil, kerr.CoordinatorNotAvailable
	}
	s := shards[partition]
	return s, s.ready()
}

// Call feeds one input to the machine of an id and waits for the answer to it. prepare
// gets the number of the request, which the machine's reply has to carry.
func Call[T, M, I any](ctx context.Context, r *Runtime[M, I], id string, prepare func(ref uint64) I) (answer T, err *kerr.Error) {
	s, err := r.shardOf(id)
	if err != nil {
		return answer, err
	}
	reply := make(chan any, 1)
	var e *Entry[M, I]
	if s == nil { // there are no machines at all: a new one answers
		e = newEntry[M, I](nil, id, r.rules.New(id, time.Now()))
		e.mu.Lock()
	} else {
		e = s.lock(id)
	}
	e.ref++
	ref := e.ref
	e.waiting[ref] = reply
	if s == nil {
		r.rules.Step(e, time.Now(), prepare(ref))
	} else {
		e.Step(prepare(ref))
	}
	e.mu.Unlock()
	if s == nil {
		select {
		case a := <-reply:
			return a.(T), nil
		default:
			return answer, kerr.CoordinatorNotAvailable
		}
	}
	err = kerr.CoordinatorNotAvailable
	select {
	case a := <-reply:
		return a.(T), nil
	case <-ctx.Done():
	case <-r.ctx.Done():
	case <-s.ended:
		err = kerr.NotCoordinator
	}
	e.mu.Lock()
	delete(e.waiting, ref)
	e.mu.Unlock()
	return answer, err
}

// View calls f with the machine of an id, locked. found is false if there is none.
func (r *Runtime[M, I]) View(id string, f func(m M)) (found bool, err *kerr.Error) {
	s, err := r.shardOf(id)
	if s == nil || err != nil {
		return false, err
	}
	s.mu.Lock()
	e := s.entries[id]
	s.mu.Unlock()
	if e == nil {
		return false, nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone || !r.rules.Exists(e.Machine) {
		return false, nil
	}
	f(e.Machine)
	return true, nil
}

// Each calls f with every machine that is loaded, its entry locked. The error is that of
// the first partition that could not be looked through.
func (r *Runtime[M, I]) Each(f func(e *Entry[M, I])) *kerr.Error {
	if r.ctx.Err() != nil {
		return kerr.CoordinatorNotAvailable
	}
	var firstErr *kerr.Error
	for _, s := range r.shards() {
		if err := s.ready(); err != nil {
			if firstErr == nil {
				firstErr = err
			}
			continue
		}
		s.each(f)
	}
	return firstErr
}

// EachIn calls f with every machine of a partition, its entry locked.
func (r *Runtime[M, I]) EachIn(partition int32, f func(e *Entry[M, I])) *kerr.Error {
	s, err := r.shardAt(partition)
	if err == nil {
		s.each(f)
	}
	return err
}

// Write writes a batch that belongs to no machine, after all that its partition has been
// asked to write before. done is called when it is durable or cannot be, before anything
// that was written later is told of; not after Close.
func (r *Runtime[M, I]) Write(partition int32, b Batch, done func(err *kerr.Error)) *kerr.Error {
	s, err := r.shardAt(partition)
	if err != nil {
		return err
	}
	if !s.enqueue(queued[M, I]{batch: b, done: done}) {
		return kerr.CoordinatorNotAvailable
	}
	return nil
}

// Progress counts the partitions that are not served.
func (r *Runtime[M, I]) Progress() (loading, failed int) {
	for _, s := range r.shards() {
		switch s.state.Load() {
		case stateLoading:
			loading++
		case stateFailed:
			failed++
		}
	}
	return loading, failed
}

// Held counts the machines in memory, those included that only answer a question, and the
// requests that wait for an answer.
func (r *Runtime[M, I]) Held() (machines, waiting int) {
	for _, s := range r.shards() {
		s.mu.Lock()
		entries := slices.Collect(maps.Values(s.entries))
		s.mu.Unlock()
		machines += len(entries)
		for _, e := range entries {
			e.mu.Lock()
			waiting += len(e.waiting)
			e.mu.Unlock()
		}
	}
	return machines, waiting
}
