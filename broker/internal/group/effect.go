package group

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Effects are what has to be done, in this order.
type Effects []Effect

// Effect is a [Reply], a [Persist] or an [Event].
type Effect interface{ effect() }

// Reply answers the request Ref.
type Reply struct {
	Ref  Ref
	Body any // JoinReply for a Join, and so on
}

// Persist asks for these records to be written to the group's partition of
// __consumer_offsets, together, after all that were asked for before.
type Persist struct {
	Seq     uint64
	Records []Record
	// Producer is set for offsets that belong to its transaction.
	Producer *Producer
}

// Event tells what happened, for logs and metrics. Nothing depends on it.
type Event struct {
	Kind       EventKind
	Generation int32
	Member     string // where the event is about one
	Reason     string // why, in a few words
	Count      int    // members, or offsets
}

func (Reply) effect()   {}
func (Persist) effect() {}
func (Event) effect()   {}

// EventKind is the kind of an [Event].
type EventKind uint8

const (
	RebalanceStarted EventKind = iota // Reason; Generation is the old one
	GenerationFormed                  // all have joined: Count members wait for the leader
	GroupStable                       // the assignment is durable: a rebalance has completed
	GroupEmpty                        // the last member is gone
	MemberAdded                       // Member
	MemberRemoved                     // Member, Reason
	OffsetsCommitted                  // Count
	OffsetsExpired                    // Count
	OffsetsDeleted                    // Count
	GroupDeleted                      // by request, or because nothing was left of it
)

var eventNames = [...]string{
	"rebalance started", "generation formed", "stable", "empty", "member added", "member removed",
	"offsets committed", "offsets expired", "offsets deleted", "group deleted",
}

func (k EventKind) String() string { return eventNames[k] }

// JoinReply answers [Join].
type JoinReply struct {
	Err            *kerr.Error // nil: none
	MemberID       string
	Generation     int32 // -1 with an error
	ProtocolType   *string
	Protocol       *string
	LeaderID       string
	Members        []JoinedMember // for the leader only
	SkipAssignment bool           // the leader keeps the assignment there is (KIP-814)
}

// JoinedMember is what the leader learns about a member.
type JoinedMember struct {
	MemberID   string
	InstanceID string
	Metadata   []byte
}

// SyncReply answers [Sync].
type SyncReply struct {
	Err          *kerr.Error
	ProtocolType *string
	Protocol     *string
	Assignment   []byte
}

// HeartbeatReply answers [Heartbeat].
type HeartbeatReply struct{ Err *kerr.Error }

// ConsumerHeartbeatReply answers [ConsumerHeartbeat].
type ConsumerHeartbeatReply struct {
	Err        *Refusal // nil: none
	MemberID   string
	Epoch      int32
	Interval   time.Duration // until the next heartbeat
	Assigned   bool          // Assignment is told; otherwise it has not changed
	Assignment []TopicPartitions
}

// ShareHeartbeatReply answers [ShareHeartbeat].
type ShareHeartbeatReply = ConsumerHeartbeatReply

// LeaveReply answers [Leave]; Members has one error, or nil, for each that was asked.
type LeaveReply struct {
	Err     *kerr.Error
	Members []*kerr.Error
}

// CommitReply answers [Commit]. Offsets, unless nil, has an error or nil for each
// offset; otherwise Err holds for all.
type CommitReply struct {
	Err     *kerr.Error
	Offsets []*kerr.Error
}

// FetchReply answers [Fetch], in the order asked, or by topic and partition for all.
type FetchReply struct {
	Err     *kerr.Error
	Offsets []FetchedOffset
}

// FetchedOffset is a committed offset; Offset is -1 where there is none.
type FetchedOffset struct {
	TopicPartition
	Err         *kerr.Error // UNSTABLE_OFFSET_COMMIT while a transaction has another
	TopicID     [16]byte
	Offset      int64
	LeaderEpoch int32
	Metadata    string
}

// DeleteOffsetsReply answers [DeleteOffsets]. Partitions has an error or nil for each.
type DeleteOffsetsReply struct {
	Err        *kerr.Error
	Partitions []*kerr.Error
}

// DeleteReply answers [Delete].
type DeleteReply struct{ Err *kerr.Error }

// Record is what a group keeps on disk: a [Metadata], an [OffsetRecord] or the
// tombstone of one.
type Record interface{ record() }

// Metadata is a generation of the group with its members and what they were assigned.
type Metadata struct {
	ProtocolType string
	Generation   int32
	Protocol     *string
	Leader       *string
	StateSince   time.Time // zero: not known (records of old brokers)
	Members      []MemberMetadata
}

// MemberMetadata is a member in a [Metadata].
type MemberMetadata struct {
	MemberID         string
	InstanceID       string
	ClientID         string
	ClientHost       string
	RebalanceTimeout time.Duration
	SessionTimeout   time.Duration
	Subscription     []byte
	Assignment       []byte
}

// MetadataTombstone says that the group is no more.
type MetadataTombstone struct{}

// OffsetRecord is a committed offset.
type OffsetRecord struct {
	TopicPartition
	Offset
}

// OffsetTombstone says that an offset is no more.
type OffsetTombstone struct{ TopicPartition }

// Offset is a committed offset as a group keeps it.
type Offset struct {
	Offset      int64
	LeaderEpoch int32
	Metadata    string
	TopicID     [16]byte
	Committed   time.Time
	Expires     time.Time // zero: by the group's retention
	Order       uint64    // rises with each commit to the group; not on disk, where the order of records says it
}

func (Metadata) record()          {}
func (MetadataTombstone) record() {}
func (OffsetRecord) record()      {}
func (OffsetTombstone) record()   {}

func (tp TopicPartition) String() string { return fmt.Sprintf("%s/%d", tp.Topic, tp.Partition) }
