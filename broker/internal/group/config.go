package group

import (
	"math"
	"time"

	"millrace/broker/internal/assignor"
)

// Config holds the broker settings that rule groups. It is read only.
type Config struct {
	// InitialRebalanceDelay (group.initial.rebalance.delay.ms) is how long the first
	// rebalance of an empty group waits for more members; each that comes extends the
	// wait by as much again, up to the group's rebalance time-out (KIP-134). Zero: the
	// first member gets everything at once, and the second causes another rebalance.
	//
	// Kafka's default is 3 s, which is also how long a learner's first consumer would
	// wait. Broker setting and default are Kafka's; the shop starts its broker with 100 ms,
	// which is enough for members that are started together to meet in one generation.
	InitialRebalanceDelay time.Duration

	// MinSessionTimeout and MaxSessionTimeout (group.min.session.timeout.ms,
	// group.max.session.timeout.ms) bound what a member may ask for.
	MinSessionTimeout time.Duration
	MaxSessionTimeout time.Duration

	// NewMemberJoinTimeout is how long a new member's join may be parked. A client that
	// gave up and joined again would else leave a dead member in the group. Not a
	// setting in Kafka either.
	NewMemberJoinTimeout time.Duration

	// MaxSize (group.max.size) is the largest number of members.
	MaxSize int

	// ConsumerMaxSize and ShareMaxSize (group.consumer.max.size, group.share.max.size)
	// are the same for groups where the broker assigns.
	ConsumerMaxSize int
	ShareMaxSize    int

	// Assignors (group.consumer.assignors) are those that members may ask for; the first
	// is used where nobody asks.
	Assignors []string

	// Migration (group.consumer.migration.policy) says which groups may change protocol.
	Migration Migration

	// MaxOffsetMetadata (offset.metadata.max.bytes) is the longest text that may go with
	// an offset, counted as Kafka does in UTF-16 units.
	MaxOffsetMetadata int

	// OffsetRetention (offsets.retention.minutes) is how long offsets are kept after
	// the group became empty, or after the commit where there is no membership (KIP-211).
	OffsetRetention time.Duration
}

// DefaultConfig returns Kafka's defaults.
func DefaultConfig() Config {
	return Config{
		InitialRebalanceDelay: 3 * time.Second,
		MinSessionTimeout:     6 * time.Second,
		MaxSessionTimeout:     30 * time.Minute,
		NewMemberJoinTimeout:  5 * time.Minute,
		MaxSize:               math.MaxInt32,
		ConsumerMaxSize:       math.MaxInt32,
		ShareMaxSize:          200,
		Assignors:             []string{assignor.UniformName, assignor.RangeName},
		MaxOffsetMetadata:     4096,
		OffsetRetention:       7 * 24 * time.Hour,
	}
}
