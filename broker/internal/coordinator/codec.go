package coordinator

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/group"
	"millrace/broker/internal/statelog"
)

// Versions that we write: those of Kafka 4.3. All older ones are read.
const (
	offsetKeyVersion          = 1
	groupKeyVersion           = 2
	offsetValueVersion        = 4
	offsetValueExpiresVersion = 1 // the only one that has an expiry time
	groupValueVersion         = 3
)

// encode gives a group's record its form on disk.
func encode(groupID string, r group.Record) Record {
	if rec, ok := encodeModern(groupID, r); ok {
		return rec
	}
	switch r := r.(type) {
	case group.OffsetRecord:
		return Record{Key: offsetKey(groupID, r.TopicPartition), Value: offsetValue(r.Offset)}
	case group.OffsetTombstone:
		return Record{Key: offsetKey(groupID, r.TopicPartition)}
	case group.Metadata:
		return Record{Key: groupKey(groupID), Value: groupValue(r)}
	case group.MetadataTombstone:
		return Record{Key: groupKey(groupID)}
	}
	panic(fmt.Sprintf("coordinator: unknown record %T", r))
}

func offsetKey(groupID string, tp group.TopicPartition) []byte {
	k := kmsg.OffsetCommitKey{Version: offsetKeyVersion, Group: groupID, Topic: tp.Topic, Partition: tp.Partition}
	return k.AppendTo(nil)
}

func groupKey(groupID string) []byte {
	k := kmsg.GroupMetadataKey{Version: groupKeyVersion, Group: groupID}
	return k.AppendTo(nil)
}

func offsetValue(o group.Offset) []byte {
	v := kmsg.OffsetCommitValue{
		Version: offsetValueVersion, Offset: o.Offset, LeaderEpoch: o.LeaderEpoch, Metadata: o.Metadata,
		CommitTimestamp: millis(o.Committed), ExpireTimestamp: -1, TopicID: o.TopicID,
	}
	if !o.Expires.IsZero() {
		v.Version, v.ExpireTimestamp = offsetValueExpiresVersion, millis(o.Expires)
	}
	return v.AppendTo(nil)
}

func groupValue(m group.Metadata) []byte {
	v := kmsg.GroupMetadataValue{
		Version: groupValueVersion, ProtocolType: m.ProtocolType, Generation: m.Generation,
		Protocol: m.Protocol, Leader: m.Leader, CurrentStateTimestamp: millis(m.StateSince),
	}
	for _, r := range m.Members {
		member := kmsg.GroupMetadataValueMember{
			MemberID: r.MemberID, ClientID: r.ClientID, ClientHost: r.ClientHost,
			RebalanceTimeoutMillis: int32(r.RebalanceTimeout.Milliseconds()),
			SessionTimeoutMillis:   int32(r.SessionTimeout.Milliseconds()),
			Subscription:           r.Subscription, Assignment: r.Assignment,
		}
		if r.InstanceID != "" {
			member.InstanceID = &r.InstanceID
		}
		v.Members = append(v.Members, member)
	}
	return v.AppendTo(nil)
}

// loading gathers a partition's records: the last one of each key counts.
type loading struct {
	rules            rules
	partition        int32
	groups           map[string]*loaded
	records, unknown int
	found, offsets   int // that were brought to life

	producer *statelog.Producer        // whose transaction the record belongs to that is looked at
	open     map[int64]map[string]bool // groups with offsets of a producer's transaction
	order    uint64                    // of the last offset
}

func newLoading(r rules, partition int32) *loading {
	return &loading{rules: r, partition: partition, groups: map[string]*loaded{}, open: map[int64]map[string]bool{}}
}

// end ends a producer's transaction.
func (l *loading) end(producer int64, commit bool) {
	for id := range l.open[producer] {
		g := l.group(id)
		g.pending.End(producer, commit, g.offsets)
	}
	delete(l.open, producer)
}

type loaded struct {
	metadata *group.Metadata
	modern   map[string]group.Record // by key
	offsets  map[group.TopicPartition]group.Offset
	pending  group.PendingOffsets
}

func (l *loading) group(id string) *loaded {
	g := l.groups[id]
	if g == nil {
		g = &loaded{offsets: map[group.TopicPartition]group.Offset{}, pending: group.PendingOffsets{}}
		l.groups[id] = g
	}
	return g
}

// add takes one record in. Kinds that we do not know, such as those of Streams groups,
// are counted and left alone; a damaged one of a kind that we know is an error.
func (l *loading) add(r Record) error {
	l.records++
	if len(r.Key) < 2 {
		return fmt.Errorf("record %d has a key of %d bytes", l.records, len(r.Key))
	}
	switch version := int16(binary.BigEndian.Uint16(r.Key)); version {
	case 0, offsetKeyVersion:
		return l.addOffset(r)
	case groupKeyVersion:
		return l.addGroup(r)
	default:
		if kind, ok := modernKind(version); ok {
			return l.addModern(version, kind, r)
		}
		l.unknown++
		return nil
	}
}

func (l *loading) addOffset(r Record) error {
	var k kmsg.OffsetCommitKey
	if err := k.ReadFrom(r.Key); err != nil {
		return fmt.Errorf("record %d: offset key: %w", l.records, err)
	}
	g, tp := l.group(k.Group), group.TopicPartition{Topic: k.Topic, Partition: k.Partition}
	if r.Value == nil {
		delete(g.offsets, tp)
		g.pending.Forget(tp)
		return nil
	}
	v := kmsg.NewOffsetCommitValue()
	if err := checkVersion(r.Value, 4); err != nil {
		return fmt.Errorf("record %d: offset of group %q: %w", l.records, k.Group, err)
	}
	v.LeaderEpoch, v.ExpireTimestamp = -1, -1
	if err := v.ReadFrom(r.Value); err != nil {
		return fmt.Errorf("record %d: offset of group %q: %w", l.records, k.Group, err)
	}
	l.order++
	o := group.Offset{
		Order: l.order, Offset: v.Offset, LeaderEpoch: v.LeaderEpoch, Metadata: v.Metadata, TopicID: v.TopicID,
		Committed: fromMillis(v.CommitTimestamp), Expires: fromMillis(v.ExpireTimestamp),
	}
	if l.producer == nil {
		g.offsets[tp] = o
		return nil
	}
	g.pending.Add(l.producer.ID, tp, o)
	if l.open[l.producer.ID] == nil {
		l.open[l.producer.ID] = map[string]bool{}
	}
	l.open[l.producer.ID][k.Group] = true
	return nil
}

func (l *loading) addGroup(r Record) error {
	var k kmsg.GroupMetadataKey
	if err := k.ReadFrom(r.Key); err != nil {
		return fmt.Errorf("record %d: group key: %w", l.records, err)
	}
	g := l.group(k.Group)
	if r.Value == nil {
		g.metadata = nil
		return nil
	}
	v := kmsg.NewGroupMetadataValue()
	if err := checkVersion(r.Value, 4); err != nil {
		return fmt.Errorf("record %d: group %q: %w", l.records, k.Group, err)
	}
	v.CurrentStateTimestamp = -1
	if err := v.ReadFrom(r.Value); err != nil {
		return fmt.Errorf("record %d: group %q: %w", l.records, k.Group, err)
	}
	m := &group.Metadata{
		ProtocolType: v.ProtocolType, Generation: v.Generation, Protocol: v.Protocol, Leader: v.Leader,
		StateSince: fromMillis(v.CurrentStateTimestamp),
	}
	for _, r := range v.Members {
		member := group.MemberMetadata{
			MemberID: r.MemberID, ClientID: r.ClientID, ClientHost: r.ClientHost,
			RebalanceTimeout: time.Duration(r.RebalanceTimeoutMillis) * time.Millisecond,
			SessionTimeout:   time.Duration(r.SessionTimeoutMillis) * time.Millisecond,
			Subscription:     append([]byte(nil), r.Subscription...), Assignment: append([]byte(nil), r.Assignment...),
		}
		if v.Version < 1 || r.RebalanceTimeoutMillis == -1 {
			member.RebalanceTimeout = member.SessionTimeout
		}
		if r.InstanceID != nil {
			member.InstanceID = *r.InstanceID
		}
		m.Members = append(m.Members, member)
	}
	g.metadata = m
	return nil
}

// checkVersion refuses a value that is newer than we can read.
func checkVersion(value []byte, newest int16) error {
	if len(value) < 2 {
		return fmt.Errorf("value of %d bytes", len(value))
	}
	if v := int16(binary.BigEndian.Uint16(value)); v < 0 || v > newest {
		return fmt.Errorf("value version %d, known are 0 to %d", v, newest)
	}
	return nil
}

// millis and fromMillis turn times to Kafka's milliseconds; -1 is the zero time.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms < 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
