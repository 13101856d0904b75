package coordinator

import (
	"context"
	"time"

	"millrace/broker/internal/group"
)

// Log is the topic __consumer_offsets as the coordinator needs it.
type Log interface {
	// Partitions returns how many partitions the topic has; 0: it does not exist yet.
	Partitions() int32
	// Create makes the topic (compacted, offsets.topic.num.partitions). It is no error
	// if it exists.
	Create(ctx context.Context) error
	// Append writes the records to a partition as one batch and returns when they are
	// durable. An error that is a *kerr.Error finds its way to the client as Kafka maps
	// it: KAFKA_STORAGE_ERROR becomes NOT_COORDINATOR, for example.
	// The records are not kept.
	Append(ctx context.Context, partition int32, records []Record) error
	// Read calls f with every record of a partition in order, from the start to the end
	// of what is durable. A nil value is a tombstone. f keeps nothing of its arguments.
	// It stops at the first error of f and returns it.
	Read(ctx context.Context, partition int32, f func(r Record) error) error
}

// Record is a record of the topic.
type Record struct {
	Key, Value []byte // Value nil: tombstone
}

func (r Record) size() int { return len(r.Key) + len(r.Value) + 32 }

// Events hears of what happens, for logs and metrics. Methods return quickly and do
// not call the coordinator.
type Events interface {
	// Group tells what happened to a group.
	Group(id string, e group.Event)
	// Loaded tells that a partition has been read, or why it could not be: then its
	// groups cannot be served until the broker starts again.
	Loaded(l Load)
	// Wrote tells that a batch of records from so many requests is durable, or not.
	Wrote(partition int32, records, requests int, took time.Duration, err error)
}

// Load is the result of reading a partition.
type Load struct {
	Partition       int32
	Records         int // read; most are superseded by later ones
	Unknown         int // of kinds that this version does not know; left alone
	Groups, Offsets int // found
	Took            time.Duration
	Err             error
}

// NoEvents ignores everything.
type NoEvents struct{}

func (NoEvents) Group(string, group.Event)                   {}
func (NoEvents) Loaded(Load)                                 {}
func (NoEvents) Wrote(int32, int, int, time.Duration, error) {}
