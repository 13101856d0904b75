package coordinator

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/statelog"
)

// fakeLog is __consumer_offsets in memory. What Append has returned for is durable and
// survives a crash; what is held back is not.
type fakeLog struct {
	mu         sync.Mutex
	cond       *sync.Cond
	partitions int32 // once created
	created    bool
	topics     byte // that were made, the last one's id
	durable    map[int32][]Record
	appends    int // that have come in
	hold       bool
	holdReads  bool
	fail       error
}

func newFakeLog(partitions int32) *fakeLog {
	l := &fakeLog{partitions: partitions, durable: map[int32][]Record{}}
	l.cond = sync.NewCond(&l.mu)
	return l
}

func (l *fakeLog) Topic() (id [16]byte, partitions int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.created {
		return id, 0
	}
	return [16]byte{l.topics}, l.partitions
}

// remove deletes the topic.
func (l *fakeLog) remove() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.created, l.durable = false, map[int32][]Record{}
}

func (l *fakeLog) Create(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.created {
		l.created = true
		l.topics++
	}
	return nil
}

func (l *fakeLog) Append(ctx context.Context, partition int32, batches []statelog.Batch) []error {
	errs := make([]error, len(batches))
	fail := func(err error) []error {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	stop := context.AfterFunc(ctx, l.cond.Broadcast)
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.appends++
	l.cond.Broadcast()
	for l.hold && ctx.Err() == nil {
		l.cond.Wait()
	}
	if l.fail != nil {
		return fail(l.fail)
	}
	if ctx.Err() != nil {
		return fail(kerr.RequestTimedOut)
	}
	for _, b := range batches {
		for _, r := range b.Records {
			l.durable[partition] = append(l.durable[partition], Record{Key: slices.Clone(r.Key), Value: slices.Clone(r.Value)})
		}
	}
	return errs
}

func (l *fakeLog) Read(ctx context.Context, partition int32, f func(statelog.Batch) error) error {
	stop := context.AfterFunc(ctx, l.cond.Broadcast)
	defer stop()
	l.mu.Lock()
	for l.holdReads && ctx.Err() == nil {
		l.cond.Wait()
	}
	records := slices.Clone(l.durable[partition])
	l.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, r := range records {
		if err := f(statelog.Batch{Records: []Record{r}}); err != nil {
			return err
		}
	}
	return nil
}

func (l *fakeLog) set(f func()) {
	l.mu.Lock()
	f()
	l.mu.Unlock()
	l.cond.Broadcast()
}

// waitAppends waits until n appends have come in.
func (l *fakeLog) waitAppends(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.appends < n {
		l.cond.Wait()
	}
}

// crashed returns a log with what is durable, for the next coordinator.
func (l *fakeLog) crashed() *fakeLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := newFakeLog(l.partitions)
	next.created = l.created
	for p, records := range l.durable {
		next.durable[p] = slices.Clone(records)
	}
	return next
}

var errDisk = errors.New("disk on fire")
