package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"millrace/broker/internal/config"
	"millrace/broker/internal/kraft"
	"millrace/broker/internal/storage"
)

// MetadataTopic is the log of commands: partition 0 of this topic, which no
// client sees.
const MetadataTopic = "__cluster_metadata"

// OffsetsTopic keeps committed offsets and groups.
const OffsetsTopic = "__consumer_offsets"

// TransactionTopic keeps transactions.
const TransactionTopic = "__transaction_state"

// ShareStateTopic keeps the states of share groups' partitions.
const ShareStateTopic = "__share_group_state"

// IsInternal reports whether a topic is the broker's own.
func IsInternal(topic string) bool {
	return topic == OffsetsTopic || topic == TransactionTopic || topic == ShareStateTopic
}

// Options are what a controller is opened with.
type Options struct {
	Dir       *storage.Dir
	Config    *config.Broker // without changes at run time, which are in the log
	Endpoints []Endpoint     // this broker's addresses as clients shall use them
	// Unclean says that the last stop was a crash. Each partition led here then gets
	// a new leader epoch, by which clients can tell that the end may have been cut.
	Unclean bool
	// Adopted, where it is set, is told when the folder was Apache Kafka's and its
	// metadata has been taken over.
	Adopted func(Adopted)
	// kafkas is what is to be taken over; nil: nothing.
	kafkas *kraft.State
}

// Controller owns the metadata. It is safe for concurrent use.
type Controller struct {
	image  atomic.Pointer[Image]
	nodeID int32

	// mu orders commands: check, append, fsync, apply, publish are one step under it.
	// It guards what follows.
	mu          sync.Mutex
	log         *commandLog
	failed      error // why nothing can be committed any more
	subscribers map[int]func(old, now *Image)
	nextSub     int

	// pidMu guards the block of producer ids in hand. It is taken before mu.
	pidMu            sync.Mutex
	nextPID, lastPID int64 // nextPID == lastPID: none left
}

// Open loads the metadata, registers this broker and returns the controller. Metadata
// that Apache Kafka left in the folder is taken over; ErrForeignFolder says why not.
func Open(ctx context.Context, o Options) (*Controller, error) {
	kafkas, err := putAside(o.Dir.FS(), o.Dir.Path(), o.Config.NodeID)
	if err != nil {
		return nil, fmt.Errorf("open cluster metadata: %w", err)
	}
	// Kafka's id for this topic: a uuid of 1.
	id := storage.TopicID{15: 1}
	log, err := o.Dir.OpenOrCreate(storage.Partition{Topic: MetadataTopic}, id, metadataLogConfig())
	if err != nil {
		return nil, fmt.Errorf("open cluster metadata: %w", err)
	}
	if kafkas == nil && log.EndOffset() == 0 {
		if kafkas, err = leftAside(o.Dir.FS(), o.Dir.Path(), o.Config.NodeID); err != nil {
			return nil, fmt.Errorf("open cluster metadata: %w", err)
		}
	}
	o.kafkas = kafkas
	return open(ctx, log, o)
}

func open(ctx context.Context, log partitionLog, o Options) (*Controller, error) {
	c := &Controller{nodeID: o.Config.NodeID, log: &commandLog{log: log}, subscribers: map[int]func(old, now *Image){}}
	image, err := c.log.load(o.Config)
	if err != nil {
		return nil, fmt.Errorf("load cluster metadata: %w", err)
	}
	c.image.Store(image)
	var commands []Command
	var adopted Adopted
	switch {
	case o.kafkas != nil:
		commands, adopted = commandsOf(o.kafkas, o.Config.NodeID)
	case image.Offset < 0:
		// Kafka writes this with a new cluster, so that every broker means the same by
		// it when eligible leader replicas are worked out (KIP-966).
		commands = append(commands, setCommand(BrokerResource, "", map[string]string{
			"min.insync.replicas": fmt.Sprint(o.Config.Topic.MinInsyncReplicas),
		}))
	}
	commands = append(commands, Command{RegisterBroker: &RegisterBroker{
		ID: o.Config.NodeID, Rack: o.Config.Rack, Endpoints: o.Endpoints, Unclean: o.Unclean,
	}})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.commit(ctx, commands); err != nil {
		return nil, fmt.Errorf("register broker %d: %w", c.nodeID, err)
	}
	if o.kafkas != nil && o.Adopted != nil {
		o.Adopted(adopted)
	}
	return c, nil
}

// Close waits for the commit in progress and lets no other begin. The storage
// directory stays open.
func (c *Controller) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = cmpError(c.failed, errClosed)
	c.subscribers = map[int]func(old, now *Image){}
	return nil
}

var errClosed = errors.New("controller is closed")

func cmpError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// Image returns the current metadata. It is one atomic load.
func (c *Controller) Image() *Image { return c.image.Load() }

// Subscribe calls f with every change, in order: first now, with old nil, then once
// for every commit, before the call that caused it returns. f must not call the
// controller's changing methods. After cancel returns, f is not called any more.
func (c *Controller) Subscribe(f func(old, now *Image)) (cancel func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.nextSub
	c.nextSub++
	c.subscribers[id] = f
	f(nil, c.Image())
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.subscribers, id)
	}
}

// commit makes commands durable, then visible. c.mu is held. It does not give up half
// way: once appended, a command is waited for.
func (c *Controller) commit(ctx context.Context, commands []Command) error {
	if c.failed != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, c.failed)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	old := c.Image()
	offset := c.log.end()
	now, err := Apply(old, offset, commands...)
	if err != nil {
		return err // a bug of the caller's checks; nothing was written
	}
	if err := c.log.append(context.WithoutCancel(ctx), commands); err != nil {
		c.failed = err
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	c.image.Store(now)
	for _, id := range slices.Sorted(maps.Keys(c.subscribers)) {
		c.subscribers[id](old, now)
	}
	if err := c.log.compact(context.WithoutCancel(ctx), now); err != nil {
		c.failed = err
	}
	return nil
}
