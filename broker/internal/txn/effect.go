package txn

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Effects are what has to be done, in this order.
type Effects []Effect

// Effect is a [Reply], a [Persist], a [SendMarkers], a [NeedProducerID] or an [Event].
type Effect interface{ effect() }

// Reply answers the request Ref.
type Reply struct {
	Ref  Ref
	Body any // InitReply for an InitProducer, and so on
}

// Persist asks for this record to be written to the id's partition of __transaction_state,
// after all that were asked for before. nil is a tombstone.
type Persist struct {
	Seq    uint64
	Record *Metadata
}

// SendMarkers asks for the transaction's markers to be written to these partitions. They
// may be there already.
type SendMarkers struct {
	Producer   Producer
	Commit     bool
	Version    int16 // of transactions
	Partitions []TopicPartition
}

// NeedProducerID says that nothing was done with an input, because it takes a new producer id.
type NeedProducerID struct{ For Input }

// Event tells what happened, for logs and metrics. Nothing depends on it.
type Event struct {
	Kind     EventKind
	Producer Producer
	Reason   string        // why, in a few words
	Count    int           // partitions
	Took     time.Duration // since the transaction began
}

func (Reply) effect()          {}
func (Persist) effect()        {}
func (SendMarkers) effect()    {}
func (NeedProducerID) effect() {}
func (Event) effect()          {}

// EventKind is the kind of an [Event].
type EventKind uint8

const (
	Initialized   EventKind = iota // a producer has the id now
	Begun                          // a transaction has begun
	Committed                      // every partition has its marker: Count, Took
	Aborted                        // the same
	TimedOut                       // the coordinator aborts
	Fenced                         // the coordinator aborts what the producer before has left open
	MarkerDropped                  // a partition refused its marker: Reason
	Expired                        // the id is forgotten
)

var eventNames = [...]string{"initialized", "begun", "committed", "aborted", "timed out", "fenced", "marker dropped", "expired"}

func (k EventKind) String() string { return eventNames[k] }

// InitReply answers [InitProducer].
type InitReply struct {
	Err      *kerr.Error // nil: none
	Producer Producer    // -1, -1 with an error
}

// AddReply answers [AddPartitions].
type AddReply struct{ Err *kerr.Error }

// VerifyReply answers [Verify]: Err for all, or an error or nil for each partition.
type VerifyReply struct {
	Err        *kerr.Error
	Partitions []*kerr.Error
}

// EndReply answers [EndTxn]. Producer is what the next transaction has to use, with
// transactions of version 2; else -1, -1.
type EndReply struct {
	Err      *kerr.Error
	Producer Producer
}

// Metadata is what the coordinator keeps of a transactional id on disk.
type Metadata struct {
	ProducerID     int64
	PrevProducerID int64 // the one before; that of the last record if it did not change
	NextProducerID int64 // the one that the id gets when the transaction is complete, -1 if it keeps its own
	Epoch          int16
	LastEpoch      int16 // the one before, -1 if not known; not on disk
	Timeout        time.Duration
	State          State
	Partitions     []TopicPartition // in order; those without marker while State is prepared
	Started        time.Time        // zero: no transaction
	Updated        time.Time
	Version        int16 // of the client's transactions
}

// Producer returns the id and epoch.
func (m *Metadata) Producer() Producer { return Producer{m.ProducerID, m.Epoch} }

func (tp TopicPartition) String() string { return fmt.Sprintf("%s/%d", tp.Topic, tp.Partition) }
