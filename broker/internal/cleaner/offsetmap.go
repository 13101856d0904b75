package cleaner

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"millrace/broker/internal/record"
)

// SlotBytes is what a key takes in an OffsetMap: 16 bytes of its hash and its offset. The hash stands for the key, so
// it is one for which nobody can make two keys that meet.
const SlotBytes = hashSize + 8

const hashSize = 16

// OffsetMap holds the newest offset of each key within fixed memory (Kafka's SkimpyOffsetMap). An empty slot has offset 0 and
// is told apart by offsets being kept one higher.
type OffsetMap struct {
	table  []byte
	slots  int
	most   int // entries that it takes
	size   int
	latest record.Offset
}

// NewOffsetMap makes a table of at most limit bytes, filled up to load (log.cleaner.io.buffer.load.factor) at most. It is no larger
// than records keys need.
func NewOffsetMap(limit int64, load float64, records int64) *OffsetMap {
	slots := max(limit/SlotBytes, 2)
	if need := float64(max(records, 1))/load + 1; need < float64(slots) {
		slots = int64(need) + 1
	}
	m := &OffsetMap{table: make([]byte, slots*SlotBytes), slots: int(slots), latest: -1}
	m.most = min(max(int(float64(slots)*load), 1), m.slots-1) // one stays free, where a search ends
	return m
}

// Put notes a key's offset, which is above all before it; false when the table is full.
func (m *OffsetMap) Put(key []byte, o record.Offset) bool {
	if m.size >= m.most {
		return false
	}
	hash := sha256.Sum256(key)
	slot, taken := m.find(&hash)
	if !taken {
		m.size++
		copy(slot, hash[:hashSize])
	}
	binary.BigEndian.PutUint64(slot[hashSize:], uint64(o)+1)
	m.latest = o
	return true
}

// Get returns the newest offset of a key, -1 if it is not there.
func (m *OffsetMap) Get(key []byte) record.Offset {
	hash := sha256.Sum256(key)
	slot, taken := m.find(&hash)
	if !taken {
		return -1
	}
	return record.Offset(binary.BigEndian.Uint64(slot[hashSize:]) - 1)
}

// find returns the slot of a key's hash, or the free one where it belongs.
func (m *OffsetMap) find(hash *[sha256.Size]byte) (slot []byte, taken bool) {
	at := int(binary.BigEndian.Uint64(hash[hashSize:]) % uint64(m.slots))
	for {
		slot = m.table[at*SlotBytes : (at+1)*SlotBytes]
		if binary.BigEndian.Uint64(slot[hashSize:]) == 0 {
			return slot, false
		}
		if bytes.Equal(slot[:hashSize], hash[:hashSize]) {
			return slot, true
		}
		if at++; at == m.slots {
			at = 0
		}
	}
}

// Reached notes that everything up to an offset has been read, whether it had keys or not.
func (m *OffsetMap) Reached(o record.Offset) { m.latest = max(m.latest, o) }

// Latest is the offset up to which the table knows the keys; -1 at first.
func (m *OffsetMap) Latest() record.Offset { return m.latest }

// Keys is how many different keys it holds.
func (m *OffsetMap) Keys() int { return m.size }

// Utilization is the part of its slots that is taken.
func (m *OffsetMap) Utilization() float64 { return float64(m.size) / float64(m.slots) }
