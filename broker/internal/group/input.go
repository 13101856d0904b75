package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Input is what can happen to a group: [Join], [Sync], [Heartbeat], [Leave],
// [Commit], [Fetch], [DeleteOffsets], [DropTopics], [Delete], [Expire],
// [Persisted], [Tick].
type Input interface{ input() }

// Ref names a request; the [Reply] to it carries the same. Never zero.
type Ref uint64

// Protocol is one way of assigning that a member offers, best first, with what the
// member has to say to the leader (for consumers its subscription).
type Protocol struct {
	Name     string
	Metadata []byte
}

// Join is a JoinGroup request. It is answered with a [JoinReply], often not at once.
type Join struct {
	Ref              Ref
	MemberID         string // empty: new here
	InstanceID       string // group.instance.id of a static member, else empty (KIP-345)
	ClientID         string
	ClientHost       string
	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration
	ProtocolType     string // "consumer" for consumers
	Protocols        []Protocol
	Reason           string // why, in the client's words (KIP-800)

	// NewMemberID is the id to give if this turns out to be a new member: the client
	// or instance id, a dash and something random.
	NewMemberID string
	// RequireMemberID: a new dynamic member is given its id first and has to come back
	// with it, so that a client that retries does not become two members (KIP-394).
	RequireMemberID bool
	// CanSkipAssignment: the client understands [JoinReply.SkipAssignment] (KIP-814).
	CanSkipAssignment bool
}

// ConsumerHeartbeat is a ConsumerGroupHeartbeat request (KIP-848), answered with a
// [ConsumerHeartbeatReply]. Fields that are nil, or negative, have not changed.
type ConsumerHeartbeat struct {
	Ref              Ref
	MemberID         string
	Epoch            int32 // 0: joins; -1: leaves; -2: a static member leaves and will be back
	InstanceID       *string
	RackID           *string
	RebalanceTimeout time.Duration
	Topics           []string
	Regex            *string
	Assignor         *string
	Owned            []Partition // what it holds now
	ClientID         string
	ClientHost       string

	// Visible tells which topics the client may know of: expressions stand for no others. nil: all. It is
	// asked again when topics come, until the next heartbeat.
	Visible func(topic string) bool
	// NewMemberID is the id for a member that has none, unless MustHaveID says that it
	// has to bring its own (KIP-1082).
	NewMemberID string
	MustHaveID  bool
}

// ShareHeartbeat is a ShareGroupHeartbeat request (KIP-932), answered with a
// [ShareHeartbeatReply].
type ShareHeartbeat struct {
	Ref        Ref
	MemberID   string
	Epoch      int32 // 0: joins; -1: leaves
	RackID     *string
	Topics     []string // nil: not changed
	ClientID   string
	ClientHost string
}

// Assignment is what the leader gives to one member.
type Assignment struct {
	MemberID string
	Data     []byte
}

// Sync is a SyncGroup request, answered with a [SyncReply].
type Sync struct {
	Ref          Ref
	MemberID     string
	InstanceID   string
	Generation   int32
	ProtocolType *string // nil in requests before version 5 (KIP-559)
	Protocol     *string
	Assignments  []Assignment // from the leader only
}

// Heartbeat is a Heartbeat request, answered with a [HeartbeatReply].
type Heartbeat struct {
	Ref        Ref
	MemberID   string
	InstanceID string
	Generation int32
}

// Leave is a LeaveGroup request, answered with a [LeaveReply].
type Leave struct {
	Ref     Ref
	Members []Leaving
}

// Leaving is one of the members that leave. An administrator removes a static
// member by its instance id alone.
type Leaving struct {
	MemberID   string
	InstanceID string
	Reason     string
}

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Commit is an OffsetCommit request, answered with a [CommitReply]. The caller has
// checked that the partitions exist.
type Commit struct {
	Ref        Ref
	MemberID   string
	InstanceID string
	Generation int32 // negative: not a member; allowed while the group is empty
	Offsets    []CommitOffset
	// Retention, if positive, ends these offsets after that time, whatever happens.
	// Only requests of versions 2 to 4 can ask for it (KIP-211).
	Retention time.Duration
	// Txn is set for a TxnOffsetCommit request: the producer whose transaction the offsets
	// belong to.
	Txn *Producer
	// KnowsGroupNotFound: the client expects GROUP_ID_NOT_FOUND (version 9 and later),
	// older ones get ILLEGAL_GENERATION.
	KnowsGroupNotFound bool
}

// CommitOffset is one offset to commit.
type CommitOffset struct {
	TopicPartition
	TopicID     [16]byte
	Offset      int64
	LeaderEpoch int32 // -1: not known
	Metadata    string
}

// Fetch is an OffsetFetch request, answered with a [FetchReply].
type Fetch struct {
	Ref Ref
	// MemberID and MemberEpoch say who asks (KIP-848); nil: not said.
	MemberID    *string
	MemberEpoch int32

	All        bool             // all there are
	Partitions []TopicPartition // these, if not all
	// Stable waits for commits that are being written, and refuses offsets that an open
	// transaction may change (KIP-447).
	Stable bool
}

// DeleteOffsets is an OffsetDelete request (KIP-496), answered with a
// [DeleteOffsetsReply].
type DeleteOffsets struct {
	Ref        Ref
	Partitions []TopicPartition
}

// DropTopics tells that topics have been deleted, and with them their offsets.
// Nobody is answered.
type DropTopics struct{ Topics map[string]bool }

// Delete is a DeleteGroups request for this group, answered with a [DeleteReply].
type Delete struct{ Ref Ref }

// Expire removes the offsets whose time is over, and the group if nothing is left
// (KIP-211). Nobody is answered.
type Expire struct{}

// Persisted tells that the records of [Persist] Seq are durable, or why not.
type Persisted struct {
	Seq uint64
	Err *kerr.Error // what the client is told
}

// Tick tells the time and nothing else.
type Tick struct{}

func (Join) input()              {}
func (ConsumerHeartbeat) input() {}
func (ShareHeartbeat) input()    {}
func (Sync) input()              {}
func (Heartbeat) input()         {}
func (Leave) input()             {}
func (Commit) input()            {}
func (Fetch) input()             {}
func (DeleteOffsets) input()     {}
func (DropTopics) input()        {}
func (Delete) input()            {}
func (Expire) input()            {}
func (Persisted) input()         {}
func (Tick) input()              {}
