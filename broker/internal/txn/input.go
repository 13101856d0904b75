package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Input is what can happen to a transactional id: [InitProducer], [AddPartitions],
// [Verify], [EndTxn], [Persisted], [MarkersSent], [FreshProducerID], [Expire], [Tick].
type Input interface{ input() }

// Ref names a request; the [Reply] to it carries the same. Never zero.
type Ref uint64

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Producer is a producer's id and epoch as a request has them.
type Producer struct {
	ID    int64
	Epoch int16
}

// InitProducer is an InitProducerId request, answered with an [InitReply].
type InitProducer struct {
	Ref     Ref
	Timeout time.Duration
	// Expected is what the producer had so far, nil if it does not say (KIP-360).
	Expected *Producer
}

// AddPartitions is an AddPartitionsToTxn or AddOffsetsToTxn request, or what Produce and
// TxnOffsetCommit of clients with transactions of version 2 imply. It is answered with an
// [AddReply]. The caller has checked that the partitions exist.
type AddPartitions struct {
	Ref        Ref
	Producer   Producer
	Partitions []TopicPartition
	Version    int16 // of the client's transactions: 0 or 2
}

// Verify asks whether partitions are in the transaction, and is answered with a
// [VerifyReply]. Nothing is changed.
type Verify struct {
	Ref        Ref
	Producer   Producer
	Partitions []TopicPartition
}

// EndTxn is an EndTxn request, answered with an [EndReply] as soon as the decision is
// durable.
type EndTxn struct {
	Ref      Ref
	Producer Producer
	Commit   bool
	Version  int16 // of the client's transactions: 0 or 2
}

// Persisted tells that the record of [Persist] Seq is durable, or why not.
type Persisted struct {
	Seq uint64
	Err *kerr.Error // what the client is told
}

// MarkersSent tells what became of the markers of [SendMarkers].
type MarkersSent struct{ Results []MarkerResult }

// MarkerResult is one partition's marker.
type MarkerResult struct {
	TopicPartition
	Outcome MarkerOutcome
	Reason  string // in a few words, where it is not there
}

// MarkerOutcome is what became of a marker.
type MarkerOutcome uint8

const (
	// MarkerWritten: it is durable, or the partition is no more.
	MarkerWritten MarkerOutcome = iota
	// MarkerRetry: not now; try again.
	MarkerRetry
	// MarkerRefused: the partition knows of a newer producer or coordinator. It is no use to
	// try again.
	MarkerRefused
)

// FreshProducerID answers [NeedProducerID] with an id that was never used, or with why
// there is none.
type FreshProducerID struct {
	For Input
	ID  int64
	Err *kerr.Error
}

// Expire forgets the id if it has been idle for so long. Nobody is answered.
type Expire struct{}

// Tick tells the time and nothing else.
type Tick struct{}

func (InitProducer) input()    {}
func (AddPartitions) input()   {}
func (Verify) input()          {}
func (EndTxn) input()          {}
func (Persisted) input()       {}
func (MarkersSent) input()     {}
func (FreshProducerID) input() {}
func (Expire) input()          {}
func (Tick) input()            {}
