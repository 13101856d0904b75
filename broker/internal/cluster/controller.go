package cluster

import (
	"context"
	"sync"
	"sync/atomic"

	"millrace/broker/internal/config"
)

// MetadataTopic is the log of commands: partition 0 of this topic, which no
// client sees.
const MetadataTopic = "__cluster_metadata"

// OffsetsTopic keeps committed offsets and groups.
const OffsetsTopic = "__consumer_offsets"

// TransactionTopic keeps transactions.
const TransactionTopic = "__transaction_state"

// IsInternal reports whether a topic is the broker's own.
func IsInternal(topic string) bool { return topic == OffsetsTopic || topic == TransactionTopic }

// Options are what a controller is opened with.
type Options struct {
	Config    *config.Broker // without changes at run time, which are in the log
	Endpoints []Endpoint     // this broker's addresses as clients shall use them
	// Unclean says that the last stop was a crash. Each partition led here then gets
	// a new leader epoch, by which clients can tell that the end may have been cut.
	Unclean bool
}

// Controller owns the metadata. It is safe for concurrent use.
type Controller struct {
	image atomic.Pointer[Image]

	// mu orders commands: check, append, fsync, apply, publish are one step under it.
	mu     sync.Mutex
	failed error // a commit that failed: nothing can be committed any more

	subMu       sync.Mutex
	subscribers map[int]func(old, now *Image)
}

// Open loads the metadata, registers this broker and returns the controller.
func Open(ctx context.Context, o Options) (*Controller, error) { panic("not yet") }

// Close waits for the commit in progress. The storage directory stays open.
func (c *Controller) Close() error { panic("not yet") }

// Image returns the current metadata. It is one atomic load.
func (c *Controller) Image() *Image { return c.image.Load() }

// Subscribe calls f with every change, in order: first now, with old nil, then once
// for every commit, before the call that caused it returns. f must not call the
// controller's changing methods.
func (c *Controller) Subscribe(f func(old, now *Image)) (cancel func()) { panic("not yet") }

// NewTopic asks for a topic.
type NewTopic struct {
	Name              string
	Partitions        int32             // -1: the broker's num.partitions
	ReplicationFactor int16             // -1: the broker's default.replication.factor
	Assignment        map[int32][]int32 // replicas by partition, in place of the two above
	Set               map[string]string // settings
	// Internal lets the broker create its own topics.
	Internal bool
}

// CreateTopics creates topics, each on its own: one may fail and another not.
// Results are in the order asked.
func (c *Controller) CreateTopics(ctx context.Context, topics []NewTopic, validateOnly bool) []TopicResult {
	panic("not yet")
}

// TopicResult is the topic made, or why not. With validateOnly the topic is as it
// would be, without an id.
type TopicResult struct {
	Topic *Topic
	Err   error
}

// EnsureInternalTopic returns one of the broker's own topics, created now with
// Kafka's settings for it if it is not there.
func (c *Controller) EnsureInternalTopic(ctx context.Context, name string) (*Topic, error) {
	panic("not yet")
}

// TopicRef names a topic by name, or by id where Name is empty.
type TopicRef struct {
	Name string
	ID   TopicID
}

// DeleteTopics deletes topics, each on its own.
func (c *Controller) DeleteTopics(ctx context.Context, topics []TopicRef) []TopicResult {
	panic("not yet")
}

// NewPartitions asks for more partitions.
type NewPartitions struct {
	Topic      string
	Count      int32     // afterwards
	Assignment [][]int32 // replicas of each new partition; nil: chosen
}

// CreatePartitions adds partitions, topic by topic.
func (c *Controller) CreatePartitions(ctx context.Context, topics []NewPartitions, validateOnly bool) []error {
	panic("not yet")
}

// NextProducerID returns a producer id that was never given out before, also not
// before a crash.
func (c *Controller) NextProducerID(ctx context.Context) (int64, error) { panic("not yet") }
