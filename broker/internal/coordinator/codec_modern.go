package coordinator

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"

	"millrace/broker/internal/group"
)

// Records of groups where the broker assigns, in Kafka's form. Keys are not flexible, values
// are (KIP-482), all of version 0:
//
//	consumer  share
//	   3       11   group           epoch, hash of the topics
//	   5       10   group, member   instance, rack, client, subscription, classic protocols
//	   6       12   group           epoch of the target assignment, when it was made
//	   7       13   group, member   target assignment
//	   8       14   group, member   epochs, state, current assignment
//	  16            group, regex    the topics that it stands for
//	           15   group           the partitions that have a state
//	   4        9   group           partitions of the topics: written by Kafka 4.0 only, not read
type modernKeys struct{ epoch, member, targetEpoch, target, current int16 }

var (
	consumerKeys = modernKeys{3, 5, 6, 7, 8}
	shareKeys    = modernKeys{11, 10, 12, 13, 14}
)

const (
	regexKey int16 = 16
	stateKey int16 = 15
)

// Tags of the values' optional fields.
const (
	tagHash      = 0 // consumer epoch
	tagClassic   = 0 // consumer member
	tagTimestamp = 0 // target epoch
	tagEpochs    = 0 // current assignment, for each topic
)

func keysOf(k group.Kind) modernKeys {
	if k == group.Share {
		return shareKeys
	}
	return consumerKeys
}

func modernKey(version int16, parts ...string) []byte {
	k := kbin.AppendInt16(nil, version)
	for _, p := range parts {
		k = kbin.AppendString(k, p)
	}
	return k
}

// encodeModern gives a record its form on disk; ok is false for other kinds of records.
func encodeModern(groupID string, r group.Record) (rec Record, ok bool) {
	switch r := r.(type) {
	case group.EpochRecord:
		rec.Key = modernKey(keysOf(r.Kind).epoch, groupID)
		if r.GroupEpoch != nil {
			rec.Value = epochValue(r)
		}
	case group.MemberRecord:
		rec.Key = modernKey(keysOf(r.Kind).member, groupID, r.Member)
		if r.Subscription != nil {
			rec.Value = memberValue(r)
		}
	case group.TargetEpochRecord:
		rec.Key = modernKey(keysOf(r.Kind).targetEpoch, groupID)
		if r.TargetEpoch != nil {
			rec.Value = targetEpochValue(r)
		}
	case group.TargetRecord:
		rec.Key = modernKey(keysOf(r.Kind).target, groupID, r.Member)
		if r.Target != nil {
			rec.Value = append(appendTopics(version0(), group.ByTopic(r.Partitions), nil), 0)
		}
	case group.CurrentRecord:
		rec.Key = modernKey(keysOf(r.Kind).current, groupID, r.Member)
		if r.Current != nil {
			rec.Value = currentValue(r)
		}
	case group.RegexRecord:
		rec.Key = modernKey(regexKey, groupID, r.Regex)
		if r.Resolved != nil {
			v := appendStrings(version0(), r.Topics)
			v = kbin.AppendInt64(v, r.Version)
			v = kbin.AppendInt64(v, millis(r.At))
			rec.Value = append(v, 0)
		}
	case group.StateRecord:
		rec.Key = modernKey(stateKey, groupID)
		if r.ShareState != nil {
			rec.Value = stateValue(r)
		}
	default:
		return rec, false
	}
	return rec, true
}

func version0() []byte { return []byte{0, 0} }

// appendTagged appends the only optional field of a struct; all of them have tag 0.
func appendTagged(b []byte, field []byte) []byte {
	b = append(b, 1, 0) // one field; its tag
	b = kbin.AppendUvarint(b, uint32(len(field)))
	return append(b, field...)
}

func appendStrings(b []byte, list []string) []byte {
	b = kbin.AppendCompactArrayLen(b, len(list))
	for _, s := range list {
		b = kbin.AppendCompactString(b, s)
	}
	return b
}

func appendInts(b []byte, list []int32) []byte {
	b = kbin.AppendCompactArrayLen(b, len(list))
	for _, n := range list {
		b = kbin.AppendInt32(b, n)
	}
	return b
}

// orNil returns nil for the empty string, which Kafka keeps as null.
func orNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// appendTopics appends partitions by topic; with held, also since when each is held.
func appendTopics(b []byte, topics []group.TopicPartitions, held group.Held) []byte {
	b = kbin.AppendCompactArrayLen(b, len(topics))
	for _, t := range topics {
		b = kbin.AppendUuid(b, t.Topic)
		b = appendInts(b, t.Partitions)
		if held == nil {
			b = append(b, 0)
			continue
		}
		epochs := make([]int32, len(t.Partitions))
		for i, p := range t.Partitions {
			epochs[i] = held[group.Partition{Topic: t.Topic, Index: p}]
		}
		b = appendTagged(b, appendInts(nil, epochs))
	}
	return b
}

func epochValue(r group.EpochRecord) []byte {
	v := kbin.AppendInt32(version0(), r.Epoch)
	switch {
	case r.Kind == group.Share:
		return append(kbin.AppendInt64(v, r.Hash), 0)
	case r.Hash == 0:
		return append(v, 0)
	}
	return appendTagged(v, kbin.AppendInt64(nil, r.Hash))
}

func targetEpochValue(r group.TargetEpochRecord) []byte {
	v := kbin.AppendInt32(version0(), r.Epoch)
	if r.At.IsZero() {
		return append(v, 0)
	}
	return appendTagged(v, kbin.AppendInt64(nil, millis(r.At)))
}

// stateValue lists topics under "initialized"; those that are being initialized or deleted
// are not kept.
func stateValue(r group.StateRecord) []byte {
	v := kbin.AppendCompactArrayLen(version0(), 0)
	v = kbin.AppendCompactArrayLen(v, len(r.Topics))
	for _, t := range r.Topics {
		v = kbin.AppendUuid(v, t.Topic)
		v = kbin.AppendCompactString(v, t.Name)
		v = append(appendInts(v, t.Partitions), 0)
	}
	v = kbin.AppendCompactArrayLen(v, 0)
	return append(v, 0)
}

func memberValue(r group.MemberRecord) []byte {
	v := version0()
	if r.Kind == group.Share {
		v = kbin.AppendCompactNullableString(v, orNil(r.Rack))
		v = kbin.AppendCompactString(v, r.ClientID)
		v = kbin.AppendCompactString(v, r.ClientHost)
		return append(appendStrings(v, r.Topics), 0)
	}
	v = kbin.AppendCompactNullableString(v, orNil(r.Instance))
	v = kbin.AppendCompactNullableString(v, orNil(r.Rack))
	v = kbin.AppendCompactString(v, r.ClientID)
	v = kbin.AppendCompactString(v, r.ClientHost)
	v = appendStrings(v, r.Topics)
	v = kbin.AppendCompactNullableString(v, &r.Regex)
	timeout := int32(-1)
	if r.RebalanceTimeout >= 0 {
		timeout = int32(r.RebalanceTimeout.Milliseconds())
	}
	v = kbin.AppendInt32(v, timeout)
	v = kbin.AppendCompactNullableString(v, orNil(r.Assignor))
	if r.Classic == nil {
		return append(v, 0)
	}
	// A nullable struct begins with 1, or -1 for null.
	c := kbin.AppendInt8(nil, 1)
	c = kbin.AppendInt32(c, int32(r.Classic.SessionTimeout.Milliseconds()))
	c = kbin.AppendCompactArrayLen(c, len(r.Classic.Protocols))
	for _, p := range r.Classic.Protocols {
		c = kbin.AppendCompactString(c, p.Name)
		c = append(kbin.AppendCompactBytes(c, p.Metadata), 0)
	}
	return appendTagged(v, append(c, 0))
}

func currentValue(r group.CurrentRecord) []byte {
	v := kbin.AppendInt32(version0(), r.Epoch)
	v = kbin.AppendInt32(v, r.Previous)
	v = kbin.AppendInt8(v, int8(r.State))
	if r.Kind == group.Share {
		return append(appendTopics(v, group.ByTopic(r.Assigned.Sorted()), nil), 0)
	}
	v = appendTopics(v, group.ByTopic(r.Assigned.Sorted()), r.Assigned)
	return append(appendTopics(v, group.ByTopic(r.Revoking.Sorted()), r.Revoking), 0)
}

// modernKind tells whose record a key of that version is.
func modernKind(version int16) (kind group.Kind, ok bool) {
	switch version {
	case consumerKeys.epoch, consumerKeys.member, consumerKeys.targetEpoch, consumerKeys.target, consumerKeys.current, regexKey:
		return group.Consumer, true
	case shareKeys.epoch, shareKeys.member, shareKeys.targetEpoch, shareKeys.target, shareKeys.current, stateKey:
		return group.Share, true
	}
	return 0, false
}

// addModern takes in a record of a group where the broker assigns.
func (l *loading) addModern(version int16, kind group.Kind, r Record) error {
	k := kbin.Reader{Src: r.Key[2:]}
	id := k.String()
	keys := keysOf(kind)
	second := ""
	if version != keys.epoch && version != keys.targetEpoch && version != stateKey {
		second = k.String()
	}
	if err := k.Complete(); err != nil {
		return fmt.Errorf("record %d: key of kind %d: %w", l.records, version, err)
	}
	g := l.group(id)
	key := string(r.Key)
	if r.Value == nil {
		delete(g.modern, key)
		return nil
	}
	if err := checkVersion(r.Value, 0); err != nil {
		return fmt.Errorf("record %d: kind %d of group %q: %w", l.records, version, id, err)
	}
	v := &value{kbin.Reader{Src: r.Value[2:]}}
	var rec group.Record
	switch version {
	case keys.epoch:
		rec = v.epoch(kind)
	case keys.member:
		rec = v.member(kind, second)
	case keys.targetEpoch:
		rec = v.targetEpoch(kind)
	case keys.target:
		rec = v.target(kind, second)
	case keys.current:
		rec = v.current(kind, second)
	case regexKey:
		rec = v.regex(second)
	case stateKey:
		rec = v.shareState()
	}
	if err := v.Complete(); err != nil {
		return fmt.Errorf("record %d: kind %d of group %q: %w", l.records, version, id, err)
	}
	if g.modern == nil {
		g.modern = map[string]group.Record{}
	}
	g.modern[key] = rec
	return nil
}

// modernGroup tells what kind of group the loaded records make: there is one where the
// epoch's record is.
func (g *loaded) modernGroup() (kind group.Kind, records []group.Record, ok bool) {
	for _, r := range g.modern {
		records = append(records, r)
		if e, is := r.(group.EpochRecord); is {
			kind, ok = e.Kind, true
		}
	}
	return kind, slices.DeleteFunc(records, func(r group.Record) bool { return recordKind(r) != kind }), ok
}

func recordKind(r group.Record) group.Kind {
	switch r := r.(type) {
	case group.EpochRecord:
		return r.Kind
	case group.MemberRecord:
		return r.Kind
	case group.TargetEpochRecord:
		return r.Kind
	case group.TargetRecord:
		return r.Kind
	case group.CurrentRecord:
		return r.Kind
	case group.StateRecord:
		return group.Share
	}
	return group.Consumer
}

// value reads a record's value after its version.
type value struct{ kbin.Reader }

// tags reads optional fields: f gets each, and returns false for one that it does not know.
func (v *value) tags(f func(tag uint32, field *value)) {
	for n := v.Uvarint(); n > 0 && v.Ok(); n-- {
		tag := v.Uvarint()
		field := &value{kbin.Reader{Src: v.Span(int(min(v.Uvarint(), 1<<31-1)))}}
		if f != nil {
			f(tag, field)
		}
	}
}

func (v *value) strings() (out []string) {
	for n := v.CompactArrayLen(); n > 0 && v.Ok(); n-- {
		out = append(out, v.CompactString())
	}
	return out
}

func (v *value) ints() (out []int32) {
	for n := v.CompactArrayLen(); n > 0 && v.Ok(); n-- {
		out = append(out, v.Int32())
	}
	return out
}

func (v *value) orEmpty() string {
	if s := v.CompactNullableString(); s != nil {
		return *s
	}
	return ""
}

// held reads partitions by topic, with their epochs where those are told.
func (v *value) held() group.Held {
	held := group.Held{}
	for n := v.CompactArrayLen(); n > 0 && v.Ok(); n-- {
		topic := v.Uuid()
		partitions := v.ints()
		var epochs []int32
		v.tags(func(tag uint32, field *value) {
			if tag == tagEpochs {
				epochs = field.ints()
			}
		})
		for i, p := range partitions {
			epoch := int32(0)
			if i < len(epochs) {
				epoch = epochs[i]
			}
			held[group.Partition{Topic: topic, Index: p}] = epoch
		}
	}
	return held
}

func (v *value) epoch(kind group.Kind) group.Record {
	e := group.GroupEpoch{Epoch: v.Int32()}
	if kind == group.Share {
		e.Hash = v.Int64()
	}
	v.tags(func(tag uint32, field *value) {
		if tag == tagHash {
			e.Hash = field.Int64()
		}
	})
	return group.EpochRecord{Kind: kind, GroupEpoch: &e}
}

func (v *value) targetEpoch(kind group.Kind) group.Record {
	e := group.TargetEpoch{Epoch: v.Int32()}
	v.tags(func(tag uint32, field *value) {
		if ms := field.Int64(); tag == tagTimestamp && ms > 0 {
			e.At = fromMillis(ms)
		}
	})
	return group.TargetEpochRecord{Kind: kind, TargetEpoch: &e}
}

func (v *value) target(kind group.Kind, member string) group.Record {
	held := v.held()
	v.tags(nil)
	return group.TargetRecord{Kind: kind, Member: member, Target: &group.Target{Partitions: held.Sorted()}}
}

func (v *value) current(kind group.Kind, member string) group.Record {
	c := group.Current{Epoch: v.Int32(), Previous: v.Int32(), State: group.MemberState(v.Int8()), Assigned: v.held()}
	if kind == group.Consumer {
		c.Revoking = v.held()
	}
	v.tags(nil)
	return group.CurrentRecord{Kind: kind, Member: member, Current: &c}
}

func (v *value) member(kind group.Kind, member string) group.Record {
	s := group.Subscription{RebalanceTimeout: -1}
	if kind == group.Consumer {
		s.Instance = v.orEmpty()
	}
	s.Rack, s.ClientID, s.ClientHost, s.Topics = v.orEmpty(), v.CompactString(), v.CompactString(), v.strings()
	slices.Sort(s.Topics)
	s.Topics = slices.Compact(s.Topics)
	if kind == group.Consumer {
		s.Regex = v.orEmpty()
		if ms := v.Int32(); ms >= 0 {
			s.RebalanceTimeout = time.Duration(ms) * time.Millisecond
		}
		s.Assignor = v.orEmpty()
	}
	v.tags(func(tag uint32, field *value) {
		if tag == tagClassic && field.Int8() == 1 {
			if c := field.classic(); len(c.Protocols) > 0 { // without one it could not have joined
				s.Classic = c
			}
		}
	})
	return group.MemberRecord{Kind: kind, Member: member, Subscription: &s}
}

func (v *value) classic() *group.ClassicMember {
	c := &group.ClassicMember{SessionTimeout: time.Duration(v.Int32()) * time.Millisecond}
	for n := v.CompactArrayLen(); n > 0 && v.Ok(); n-- {
		c.Protocols = append(c.Protocols, group.Protocol{Name: v.CompactString(), Metadata: slices.Clone(v.CompactBytes())})
		v.tags(nil)
	}
	return c
}

func (v *value) shareState() group.Record {
	s := &group.ShareState{}
	topics := func(keep bool) {
		for n := v.CompactArrayLen(); n > 0 && v.Ok(); n-- {
			t := group.ShareTopic{TopicPartitions: group.TopicPartitions{Topic: v.Uuid()}, Name: v.CompactString()}
			t.Partitions = v.ints()
			v.tags(nil)
			if keep {
				s.Topics = append(s.Topics, t)
			}
		}
	}
	topics(false)
	topics(true)
	for n := v.CompactArrayLen(); n > 0 && v.Ok(); n-- { // being deleted
		v.Uuid()
		v.CompactString()
		v.tags(nil)
	}
	v.tags(nil)
	return group.StateRecord{ShareState: s}
}

func (v *value) regex(text string) group.Record {
	r := group.Resolved{Topics: v.strings(), Version: v.Int64(), At: fromMillis(v.Int64())}
	v.tags(nil)
	return group.RegexRecord{Regex: text, Resolved: &r}
}
