package coordinator

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/group"
)

// Config holds the settings of a coordinator.
type Config struct {
	Group group.Config
	// RetentionCheckInterval (offsets.retention.check.interval.ms) is how often offsets
	// are looked through for those whose time is over.
	RetentionCheckInterval time.Duration
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Group: group.DefaultConfig(), RetentionCheckInterval: 10 * time.Minute}
}

// Coordinator serves all groups of this broker. It is safe for concurrent use.
type Coordinator struct {
	cfg    Config
	log    Log
	events Events
	timers *timers
	shards atomic.Pointer[[]*shard] // nil until the topic exists

	creating sync.Mutex // held while the topic is made

	// mu guards closed.
	mu     sync.Mutex
	closed bool
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// loaders is how many partitions are read at a time.
const loaders = 4

// Start returns a coordinator that is loading its groups. events may be nil.
func Start(cfg Config, log Log, events Events) *Coordinator {
	if events == nil {
		events = NoEvents{}
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &Coordinator{cfg: cfg, log: log, events: events, timers: newTimers(), ctx: ctx, cancel: cancel}
	c.spawn(func() { c.timers.run(ctx.Done(), (*entry).tick) })
	c.spawn(c.watchRetention)
	if n := log.Partitions(); n > 0 {
		shards := c.open(n)
		next := make(chan *shard, n)
		for _, s := range shards {
			next <- s
		}
		close(next)
		for range min(loaders, n) {
			c.spawn(func() {
				for s := range next {
					s.load()
				}
			})
		}
	}
	return c
}

// open makes the shards, loading.
func (c *Coordinator) open(n int32) []*shard {
	shards := make([]*shard, n)
	for i := range shards {
		shards[i] = &shard{c: c, partition: int32(i), groups: map[string]*entry{}}
	}
	c.shards.Store(&shards)
	return shards
}

// Close stops the coordinator. Requests that wait are answered with
// COORDINATOR_NOT_AVAILABLE. It may be called more than once.
func (c *Coordinator) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.wg.Wait()
	return nil
}

// spawn runs f in a goroutine that Close waits for; not after Close.
func (c *Coordinator) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.wg.Go(f)
	return true
}

// Ensure makes the internal topic if it does not exist. Requests that look for a
// coordinator, and those that create groups, call it.
func (c *Coordinator) Ensure(ctx context.Context) *kerr.Error {
	if c.shards.Load() != nil {
		return nil
	}
	c.creating.Lock()
	defer c.creating.Unlock()
	if c.shards.Load() != nil {
		return nil
	}
	if c.ctx.Err() != nil {
		return kerr.CoordinatorNotAvailable
	}
	if err := c.log.Create(ctx); err != nil {
		return kerr.CoordinatorNotAvailable
	}
	n := c.log.Partitions()
	if n <= 0 {
		return kerr.CoordinatorNotAvailable
	}
	for _, s := range c.open(n) {
		s.load() // there is nothing in it, or little
	}
	return nil
}

// Partition returns the partition of __consumer_offsets that keeps a group.
func (c *Coordinator) Partition(groupID string) int32 {
	shards := c.shards.Load()
	if shards == nil {
		return -1
	}
	return partitionFor(groupID, int32(len(*shards)))
}

// shardOf returns the shard that serves a group; nil if the topic does not exist, so
// that no group does.
func (c *Coordinator) shardOf(groupID string) (*shard, *kerr.Error) {
	if c.ctx.Err() != nil {
		return nil, kerr.CoordinatorNotAvailable
	}
	shards := c.shards.Load()
	if shards == nil {
		return nil, nil
	}
	s := (*shards)[partitionFor(groupID, int32(len(*shards)))]
	return s, s.ready()
}

// watchRetention expires offsets from time to time.
func (c *Coordinator) watchRetention() {
	t := time.NewTicker(c.cfg.RetentionCheckInterval)
	defer t.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-t.C:
			_ = c.each(func(e *entry) { e.step(group.Expire{}) })
		}
	}
}

// each calls f with every known group that is loaded, its entry locked.
func (c *Coordinator) each(f func(e *entry)) *kerr.Error {
	shards := c.shards.Load()
	if shards == nil {
		return nil
	}
	var firstErr *kerr.Error
	for _, s := range *shards {
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
