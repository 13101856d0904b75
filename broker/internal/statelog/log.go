package statelog

import (
	"context"
	"time"
)

// Log is the internal topic as a Runtime needs it.
type Log interface {
	// Topic returns the topic's id and how many partitions it has; 0: it does not exist.
	Topic() (id [16]byte, partitions int32)
	// Create makes the topic (compacted). It is no error if it exists.
	Create(ctx context.Context) error
	// Append writes batches to a partition in order and returns when they are durable:
	// an error, or nil, for each. A batch that is refused does not keep back the others.
	// An error that is a *kerr.Error finds its way to the client as Kafka maps it:
	// KAFKA_STORAGE_ERROR becomes NOT_COORDINATOR, for example. The batches are not kept.
	Append(ctx context.Context, partition int32, batches []Batch) []error
	// Read calls f with every batch of a partition in order, from the start to the end
	// of what is durable. f keeps nothing of its argument.
	// It stops at the first error of f and returns it.
	Read(ctx context.Context, partition int32, f func(b Batch) error) error
}

// Record is a record of the topic.
type Record struct {
	Key, Value []byte // Value nil: tombstone
}

func (r Record) size() int { return len(r.Key) + len(r.Value) + 32 }

// Batch is records that are written together: they count together or not at all.
type Batch struct {
	Records []Record
	// Producer is set where the records count only once the producer's transaction is
	// committed, and of a marker.
	Producer *Producer
	// Marker ends the producer's transaction in this partition. There are no records then.
	Marker *Marker
}

// Producer is a transactional producer.
type Producer struct {
	ID    int64
	Epoch int16
	Guard uint64 // that the transaction's coordinator was asked (storage.Guard); 0: no need
}

// Marker is how a transaction ended.
type Marker struct {
	Commit           bool
	CoordinatorEpoch int32
	Version          int16 // of transactions (KIP-890): 2 has an epoch of its own for each
}

// Events hears of what happens, for logs and metrics. Methods return quickly and do
// not call the runtime.
type Events interface {
	// Wrote tells that records of so many requests were written, or not.
	Wrote(partition int32, records, requests int, took time.Duration, err error)
}
