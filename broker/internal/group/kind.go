package group

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/assignor"
)

// Kind is the protocol that a group's members speak.
type Kind uint8

const (
	// Classic: the members assign among themselves (JoinGroup, SyncGroup), or there is
	// no membership at all.
	Classic Kind = iota
	// Consumer: the broker assigns (KIP-848).
	Consumer
	// Share: the broker assigns, and a partition may have several readers (KIP-932).
	Share
)

var kindNames = [...]string{"classic", "consumer", "share"}

// String gives the group type as ListGroups tells it.
func (k Kind) String() string { return kindNames[k] }

// protocolType is what ListGroups tells of groups where the broker assigns.
func (k Kind) protocolType() string {
	if k == Share {
		return "share"
	}
	return consumerProtocol
}

// TopicID and Partition name topics and partitions by id.
type (
	TopicID   = assignor.TopicID
	Partition = assignor.Partition
)

// Cluster is the metadata that groups need where the broker assigns. It does not
// change; a later one has a higher version.
type Cluster interface {
	// Version grows with each change.
	Version() int64
	// Topic returns a topic's id and number of partitions; ok is false if there is none.
	Topic(name string) (id TopicID, partitions int32, ok bool)
	// TopicName returns the name of a topic, "" if there is none.
	TopicName(id TopicID) string
	// EachTopic calls yield with the names of all topics, in order, while it returns true.
	EachTopic(yield func(name string) bool)
	// Settings returns what holds for a group.
	Settings(group string) Settings
}

// Settings are those that a group may have of its own (IncrementalAlterConfigs of a
// GROUP resource), or else the broker has for all.
type Settings struct {
	SessionTimeout     time.Duration // consumer.session.timeout.ms, share.session.timeout.ms by kind
	HeartbeatInterval  time.Duration // consumer.heartbeat.interval.ms
	AssignmentInterval time.Duration // consumer.assignment.interval.ms
	ShareSession       time.Duration
	ShareHeartbeat     time.Duration
	ShareAssignment    time.Duration
}

// Migration is group.consumer.migration.policy: which groups with members may change
// their protocol while they run.
type Migration uint8

const (
	MigrateBoth Migration = iota // bidirectional
	MigrateUp                    // upgrade: classic to consumer only
	MigrateDown                  // downgrade: consumer to classic only
	MigrateNone                  // disabled
)

// ParseMigration reads the setting.
func ParseMigration(s string) (Migration, error) {
	switch s {
	case "bidirectional":
		return MigrateBoth, nil
	case "upgrade":
		return MigrateUp, nil
	case "downgrade":
		return MigrateDown, nil
	case "disabled":
		return MigrateNone, nil
	}
	return 0, fmt.Errorf("migration policy %q, known are bidirectional, upgrade, downgrade, disabled", s)
}

func (m Migration) up() bool   { return m == MigrateBoth || m == MigrateUp }
func (m Migration) down() bool { return m == MigrateBoth || m == MigrateDown }

// Refusal is an error with words for the client.
type Refusal struct {
	*kerr.Error
	Text string
}

func refuse(err *kerr.Error, format string, args ...any) *Refusal {
	return &Refusal{err, fmt.Sprintf(format, args...)}
}

// Held are partitions that a member holds, each with the member epoch in which it was
// given to it (KIP-1251).
type Held map[Partition]int32

// Sorted lists the partitions in order.
func (h Held) Sorted() []Partition {
	return slices.SortedFunc(maps.Keys(h), assignor.Compare)
}

// TopicPartitions are partitions of one topic, as requests and records group them.
type TopicPartitions struct {
	Topic      TopicID
	Partitions []int32
}

// ByTopic groups sorted partitions.
func ByTopic(ps []Partition) (out []TopicPartitions) {
	for _, p := range ps {
		if n := len(out); n == 0 || out[n-1].Topic != p.Topic {
			out = append(out, TopicPartitions{Topic: p.Topic})
		}
		last := &out[len(out)-1]
		last.Partitions = append(last.Partitions, p.Index)
	}
	return out
}

// nowhere is a cluster without topics, for groups that have not been told of one.
type nowhere struct{}

func (nowhere) Version() int64                      { return 0 }
func (nowhere) Topic(string) (TopicID, int32, bool) { return TopicID{}, 0, false }
func (nowhere) TopicName(TopicID) string            { return "" }
func (nowhere) EachTopic(func(string) bool)         {}
func (nowhere) Settings(string) Settings            { return DefaultSettings() }

// Nowhere returns a cluster without topics.
func Nowhere() Cluster { return nowhere{} }

// DefaultSettings returns Kafka's defaults.
func DefaultSettings() Settings {
	return Settings{
		SessionTimeout: 45 * time.Second, HeartbeatInterval: 5 * time.Second, AssignmentInterval: time.Second,
		ShareSession: 45 * time.Second, ShareHeartbeat: 5 * time.Second, ShareAssignment: time.Second,
	}
}
