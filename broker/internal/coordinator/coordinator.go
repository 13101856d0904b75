package coordinator

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/group"
	"millrace/broker/internal/statelog"
)

// Config holds the settings of a coordinator.
type Config struct {
	Group group.Config
	// Cluster returns the metadata as it is now; nil: there are no topics. What it
	// returns does not change.
	Cluster func() group.Cluster
	// Shares keeps the states of share groups' partitions; nil: there are no share groups.
	Shares Shares
	// RetentionCheckInterval (offsets.retention.check.interval.ms) is how often offsets
	// are looked through for those whose time is over.
	RetentionCheckInterval time.Duration
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Group: group.DefaultConfig(), RetentionCheckInterval: 10 * time.Minute}
}

func (c *Config) cluster() group.Cluster {
	if c.Cluster == nil {
		return group.Nowhere()
	}
	return c.Cluster()
}

// Coordinator serves all groups of this broker. It is safe for concurrent use.
type Coordinator struct {
	cfg    Config
	events Events
	rt     *statelog.Runtime[*group.Group, group.Input]
}

// entry is one group and who waits for it.
type entry = statelog.Entry[*group.Group, group.Input]

// Start returns a coordinator that is loading its groups. events may be nil.
func Start(cfg Config, log Log, events Events) *Coordinator {
	if events == nil {
		events = NoEvents{}
	}
	c := &Coordinator{cfg: cfg, events: events}
	c.rt = statelog.New(rules{c}, log, events)
	c.rt.Load()
	c.rt.Spawn(c.watchRetention)
	return c
}

// Close stops the coordinator. Requests that wait are answered with
// COORDINATOR_NOT_AVAILABLE. It may be called more than once.
func (c *Coordinator) Close() error { return c.rt.Close() }

// Ensure makes the internal topic if it does not exist. Requests that look for a
// coordinator, and those that create groups, call it.
func (c *Coordinator) Ensure(ctx context.Context) *kerr.Error { return c.rt.Ensure(ctx) }

// Partition returns the partition of __consumer_offsets that keeps a group.
func (c *Coordinator) Partition(groupID string) int32 { return c.rt.Partition(groupID) }

// Shares keeps the states of share groups' partitions.
type Shares interface {
	// Initialize gives partitions a state in which nothing is known. It returns when that
	// is durable.
	Initialize(ctx context.Context, groupID string, ps []group.Partition) *kerr.Error
	// Delete forgets the states of partitions.
	Delete(ctx context.Context, groupID string, ps []group.Partition)
}

// initShare carries out what a share group asks for, and tells it.
func (c *Coordinator) initShare(e *entry, in group.InitShare) {
	started := c.cfg.Shares != nil && c.rt.Spawn(func() {
		e.Deliver(group.ShareInitialized{Partitions: in.Partitions, Err: c.cfg.Shares.Initialize(c.rt.Context(), e.ID, in.Partitions)})
	})
	if !started {
		e.Step(group.ShareInitialized{Partitions: in.Partitions, Err: kerr.CoordinatorNotAvailable})
	}
}

func (c *Coordinator) dropShare(groupID string, in group.DropShare) {
	if c.cfg.Shares != nil {
		c.rt.Spawn(func() { c.cfg.Shares.Delete(c.rt.Context(), groupID, in.Partitions) })
	}
}

// watchRetention expires offsets from time to time.
func (c *Coordinator) watchRetention() {
	t := time.NewTicker(c.cfg.RetentionCheckInterval)
	defer t.Stop()
	for {
		select {
		case <-c.rt.Context().Done():
			return
		case <-t.C:
			_ = c.rt.Each(func(e *entry) { e.Step(group.Expire{}) })
		}
	}
}
