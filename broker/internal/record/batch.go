package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Positions in the header, see the package comment.
const (
	lengthAt          = 8
	leaderEpochAt     = 12
	magicAt           = 16
	crcAt             = 17
	attributesAt      = 21
	lastOffsetDeltaAt = 23
	baseTimestampAt   = 27
	maxTimestampAt    = 35
	producerIDAt      = 43
	producerEpochAt   = 51
	baseSequenceAt    = 53
	countAt           = 57

	// HeaderSize is the size of the header of a batch, up to its first record.
	HeaderSize = 61
	// PrefixSize is the part of the header that length does not count.
	PrefixSize = 12
	// Magic is the only format that this broker stores.
	Magic = 2
)

// Attribute bits.
const (
	compressionMask        = 0x07
	logAppendTimeBit       = 1 << 3
	transactionalBit       = 1 << 4
	controlBit             = 1 << 5
	deleteHorizonBit       = 1 << 6
	maxSequence      int32 = 1<<31 - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch is the bytes of exactly one batch, header first. The accessors may be
// called when at least HeaderSize bytes are there; Next and Check see to that.
type Batch []byte

func (b Batch) u16(at int) uint16 { return binary.BigEndian.Uint16(b[at:]) }
func (b Batch) u32(at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
func (b Batch) u64(at int) uint64 { return binary.BigEndian.Uint64(b[at:]) }

// BaseOffset is the offset of the first record.
func (b Batch) BaseOffset() Offset { return Offset(b.u64(0)) }

// Size is the size of the whole batch as its header tells it.
func (b Batch) Size() int { return PrefixSize + int(int32(b.u32(lengthAt))) }

// LeaderEpoch is the epoch of the leader that appended the batch.
func (b Batch) LeaderEpoch() Epoch { return Epoch(b.u32(leaderEpochAt)) }

// Magic is the format of the batch.
func (b Batch) Magic() int8 { return int8(b[magicAt]) }

// CRC is the checksum that the header carries.
func (b Batch) CRC() uint32 { return b.u32(crcAt) }

// Attributes are the raw bits.
func (b Batch) Attributes() int16 { return int16(b.u16(attributesAt)) }

// Compression is how the records are compressed.
func (b Batch) Compression() Compression { return Compression(b[attributesAt+1] & compressionMask) }

// LogAppendTime tells whether the broker's clock set the timestamps.
func (b Batch) LogAppendTime() bool { return b[attributesAt+1]&logAppendTimeBit != 0 }

// Transactional tells whether the batch belongs to a transaction.
func (b Batch) Transactional() bool { return b[attributesAt+1]&transactionalBit != 0 }

// Control tells whether the records are the broker's own markers.
func (b Batch) Control() bool { return b[attributesAt+1]&controlBit != 0 }

// LastOffsetDelta is the distance from the first to the last record.
func (b Batch) LastOffsetDelta() int32 { return int32(b.u32(lastOffsetDeltaAt)) }

// LastOffset is the offset of the last record.
func (b Batch) LastOffset() Offset { return b.BaseOffset() + Offset(b.LastOffsetDelta()) }

// NextOffset is the offset after the last record.
func (b Batch) NextOffset() Offset { return b.LastOffset() + 1 }

// BaseTimestamp is the timestamp of the first record in milliseconds, to which the records' deltas add.
func (b Batch) BaseTimestamp() int64 { return int64(b.u64(baseTimestampAt)) }

// MaxTimestamp is the largest timestamp in milliseconds.
func (b Batch) MaxTimestamp() int64 { return int64(b.u64(maxTimestampAt)) }

// ProducerID is NoProducer when the batch was sent without idempotence.
func (b Batch) ProducerID() int64 { return int64(b.u64(producerIDAt)) }

// ProducerEpoch fences off older instances of a producer.
func (b Batch) ProducerEpoch() int16 { return int16(b.u16(producerEpochAt)) }

// BaseSequence numbers the first record within its producer.
func (b Batch) BaseSequence() int32 { return int32(b.u32(baseSequenceAt)) }

// LastSequence numbers the last record; sequences wrap to 0 after the largest int32.
func (b Batch) LastSequence() int32 {
	first, delta := b.BaseSequence(), b.LastOffsetDelta()
	if first < 0 {
		return first
	}
	return int32((int64(first) + int64(delta)) & int64(maxSequence))
}

// Count is the number of records as the header tells it.
func (b Batch) Count() int32 { return int32(b.u32(countAt)) }

// Payload is what follows the header: the records, compressed or not.
func (b Batch) Payload() []byte { return b[HeaderSize:] }

// Checksum computes the CRC-32C that the header should carry.
func (b Batch) Checksum() uint32 { return crc32.Checksum(b[attributesAt:], castagnoli) }

// Intact tells whether the header's checksum is right.
func (b Batch) Intact() bool { return b.CRC() == b.Checksum() }

// SetBaseOffset moves the batch in its partition. The checksum does not cover this field.
func (b Batch) SetBaseOffset(o Offset) { binary.BigEndian.PutUint64(b, uint64(o)) }

// SetLeaderEpoch writes down who appended. The checksum does not cover this field.
func (b Batch) SetLeaderEpoch(e Epoch) { binary.BigEndian.PutUint32(b[leaderEpochAt:], uint32(e)) }

// SetLogAppendTime replaces the timestamps by the broker's: the attribute bit and the
// largest timestamp are set, the records keep their deltas, which readers then ignore.
func (b Batch) SetLogAppendTime(ms int64) {
	b[attributesAt+1] |= logAppendTimeBit
	binary.BigEndian.PutUint64(b[maxTimestampAt:], uint64(ms))
	b.seal()
}

// setCreateTime says that the records have the producer's timestamps, of which ms is the largest.
func (b Batch) setCreateTime(ms int64) {
	b[attributesAt+1] &^= logAppendTimeBit
	binary.BigEndian.PutUint64(b[maxTimestampAt:], uint64(ms))
	b.seal()
}

func (b Batch) seal() { binary.BigEndian.PutUint32(b[crcAt:], b.Checksum()) }

// Next splits the first batch from buf. Only lengths and magic are looked at; the checksum
// is the caller's to ask for. It returns ErrCorrupt when buf does not start with a whole batch,
// ErrUnsupportedFormat when it starts with a batch of an older format.
func Next(buf []byte) (first Batch, rest []byte, err error) {
	if len(buf) < HeaderSize {
		if len(buf) > magicAt && buf[magicAt] < Magic {
			return nil, nil, fmt.Errorf("%w: magic %d", ErrUnsupportedFormat, buf[magicAt])
		}
		return nil, nil, fmt.Errorf("%w: %d bytes left, a header has %d", ErrCorrupt, len(buf), HeaderSize)
	}
	b := Batch(buf)
	switch m := b.Magic(); {
	case m == 0 || m == 1:
		return nil, nil, fmt.Errorf("%w: magic %d", ErrUnsupportedFormat, m)
	case m != Magic:
		return nil, nil, fmt.Errorf("%w: magic %d", ErrCorrupt, m)
	}
	size := b.Size()
	if size < HeaderSize || size > len(buf) {
		return nil, nil, fmt.Errorf("%w: length field %d with %d bytes left", ErrCorrupt, size-PrefixSize, len(buf)-PrefixSize)
	}
	return b[:size:size], buf[size:], nil
}

// CheckedFrom is where the bytes begin that the checksum covers.
const CheckedFrom = attributesAt
