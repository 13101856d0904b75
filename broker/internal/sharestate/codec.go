package sharestate

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"

	"millrace/broker/internal/share"
	"millrace/broker/internal/statelog"
)

// Versions of the keys, which tell the kind of a record.
const (
	snapshotKey int16 = 0
	updateKey   int16 = 1
)

const tagComplete = 0

func encodeKey(version int16, k Key) []byte {
	b := kbin.AppendInt16(nil, version)
	b = kbin.AppendString(b, k.Group)
	b = kbin.AppendUuid(b, k.Topic)
	return kbin.AppendInt32(b, k.Partition)
}

// encode gives a state its form on disk; nil is the tombstones of all that there may be.
func encode(k Key, s *State) []statelog.Record {
	if s == nil {
		return []statelog.Record{{Key: encodeKey(snapshotKey, k)}, {Key: encodeKey(updateKey, k)}}
	}
	v := []byte{0, 0}
	v = kbin.AppendInt32(v, s.SnapshotEpoch)
	v = kbin.AppendInt32(v, s.Epoch)
	v = kbin.AppendInt32(v, s.LeaderEpoch)
	v = kbin.AppendInt64(v, s.Start)
	v = kbin.AppendInt64(v, s.Created.UnixMilli())
	v = kbin.AppendInt64(v, s.Written.UnixMilli())
	v = kbin.AppendCompactArrayLen(v, len(s.Batches))
	for _, b := range s.Batches {
		v = kbin.AppendInt64(v, b.First)
		v = kbin.AppendInt64(v, b.Last)
		v = kbin.AppendInt8(v, int8(b.State))
		v = append(kbin.AppendInt16(v, b.DeliveryCount), 0)
	}
	if s.Complete < 0 {
		return []statelog.Record{{Key: encodeKey(snapshotKey, k), Value: append(v, 0)}}
	}
	v = append(v, 1, tagComplete, 4)
	return []statelog.Record{{Key: encodeKey(snapshotKey, k), Value: kbin.AppendInt32(v, s.Complete)}}
}

// loader gathers a partition's records.
type loader struct {
	rules     rules
	partition int32
	states    map[Key]*State
	records   int
	unknown   int
}

func (l *loader) add(r statelog.Record) error {
	l.records++
	if len(r.Key) < 2 {
		return fmt.Errorf("record %d has a key of %d bytes", l.records, len(r.Key))
	}
	version := int16(binary.BigEndian.Uint16(r.Key))
	if version != snapshotKey && version != updateKey {
		l.unknown++
		return nil
	}
	kr := kbin.Reader{Src: r.Key[2:]}
	k := Key{kr.String(), kr.Uuid(), kr.Int32()}
	if err := kr.Complete(); err != nil {
		return fmt.Errorf("record %d: key: %w", l.records, err)
	}
	if r.Value == nil {
		if version == snapshotKey {
			delete(l.states, k)
		}
		return nil
	}
	if len(r.Value) < 2 || binary.BigEndian.Uint16(r.Value) != 0 {
		return fmt.Errorf("record %d: value of an unknown version", l.records)
	}
	v := kbin.Reader{Src: r.Value[2:]}
	s := &State{Complete: -1, SnapshotEpoch: v.Int32()}
	if version == snapshotKey {
		s.Epoch = v.Int32()
	}
	s.LeaderEpoch, s.Start = v.Int32(), v.Int64()
	if version == snapshotKey {
		s.Created, s.Written = time.UnixMilli(v.Int64()), time.UnixMilli(v.Int64())
	}
	s.Batches = batches(&v)
	for n := v.Uvarint(); n > 0 && v.Ok(); n-- {
		tag := v.Uvarint()
		field := kbin.Reader{Src: v.Span(int(min(v.Uvarint(), 1<<31-1)))}
		if tag == tagComplete {
			s.Complete = field.Int32()
		}
	}
	if err := v.Complete(); err != nil {
		return fmt.Errorf("record %d: state of %s: %w", l.records, k, err)
	}
	if version == snapshotKey {
		l.states[k] = s
		return nil
	}
	// What has changed since the snapshot, as Kafka writes it.
	old := l.states[k]
	if old == nil || old.SnapshotEpoch != s.SnapshotEpoch {
		return nil
	}
	if to, err := apply(old, Write{Epoch: -1, LeaderEpoch: s.LeaderEpoch, Start: s.Start, Complete: s.Complete, Batches: s.Batches}); err == nil {
		l.states[k] = to
	}
	return nil
}

func batches(v *kbin.Reader) (out []share.Batch) {
	for n := v.CompactArrayLen(); n > 0 && v.Ok(); n-- {
		out = append(out, share.Batch{First: v.Int64(), Last: v.Int64(), State: share.State(v.Int8()), DeliveryCount: v.Int16()})
		for t := v.Uvarint(); t > 0 && v.Ok(); t-- {
			v.Uvarint()
			v.Span(int(min(v.Uvarint(), 1<<31-1)))
		}
	}
	return out
}
