package group

import "time"

// Records of groups where the broker assigns. Kafka keeps one set of keys for consumer
// groups (3 to 8, 16) and another for share groups (10 to 15), Kind tells which. A nil
// pointer is a tombstone.
type (
	// EpochRecord is the group's epoch, and what it was computed from.
	EpochRecord struct {
		Kind Kind
		*GroupEpoch
	}
	// MemberRecord is what a member says of itself.
	MemberRecord struct {
		Kind   Kind
		Member string
		*Subscription
	}
	// TargetEpochRecord is the epoch that the target assignment was made for.
	TargetEpochRecord struct {
		Kind Kind
		*TargetEpoch
	}
	// TargetRecord is what a member shall have.
	TargetRecord struct {
		Kind   Kind
		Member string
		*Target
	}
	// CurrentRecord is what a member has.
	CurrentRecord struct {
		Kind   Kind
		Member string
		*Current
	}
	// RegexRecord is what a regular expression that members subscribe by stands for.
	RegexRecord struct {
		Regex string
		*Resolved
	}
)

// GroupEpoch is the value of an [EpochRecord].
type GroupEpoch struct {
	Epoch int32
	Hash  int64 // of the topics that the members read
}

// Subscription is the value of a [MemberRecord].
type Subscription struct {
	Instance         string // empty for a dynamic member
	Rack             string
	ClientID         string
	ClientHost       string
	Topics           []string // sorted, each once
	Regex            string
	RebalanceTimeout time.Duration  // negative: not known
	Assignor         string         // empty: the broker's first
	Classic          *ClassicMember // of a member that still speaks the classic protocol
}

// ClassicMember is what JoinGroup tells beside the subscription.
type ClassicMember struct {
	SessionTimeout time.Duration
	Protocols      []Protocol
}

// TargetEpoch is the value of a [TargetEpochRecord].
type TargetEpoch struct {
	Epoch int32
	At    time.Time // when it was computed (KIP-1263)
}

// Target is the value of a [TargetRecord].
type Target struct{ Partitions []Partition }

// Current is the value of a [CurrentRecord].
type Current struct {
	Epoch    int32 // what the member's next heartbeat has to bring; -2: a static member is away
	Previous int32 // accepted too, if the answer with Epoch was lost
	State    MemberState
	Assigned Held // the member may read these
	Revoking Held // the member has to say that it gave these back
}

// Resolved is the value of a [RegexRecord].
type Resolved struct {
	Topics  []string // sorted
	Version int64    // of the metadata
	At      time.Time
}

func (EpochRecord) record()       {}
func (MemberRecord) record()      {}
func (TargetEpochRecord) record() {}
func (TargetRecord) record()      {}
func (CurrentRecord) record()     {}
func (RegexRecord) record()       {}

// MemberState is where a member stands on its way to its target. The numbers are those
// of Kafka's records.
type MemberState int8

const (
	// MemberStable: it has what it shall have in its epoch.
	MemberStable MemberState = iota
	// MemberRevoking (Kafka: UNREVOKED_PARTITIONS): it has to give partitions back, and
	// stays in its epoch until it has.
	MemberRevoking
	// MemberWaiting (Kafka: UNRELEASED_PARTITIONS): partitions of its target are still
	// with other members.
	MemberWaiting
)

var memberStateNames = map[MemberState]string{MemberStable: "stable", MemberRevoking: "revoking", MemberWaiting: "waiting"}

func (s MemberState) String() string { return memberStateNames[s] }
