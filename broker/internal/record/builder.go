package record

import "encoding/binary"

// Builder makes one batch out of records, for the topics that the broker writes itself.
// The zero value builds an uncompressed batch; a Builder may be used again after Build.
type Builder struct {
	Compression   Compression
	Control       bool
	Transactional bool
	// ProducerID, ProducerEpoch and BaseSequence go into the header when Idempotent is set.
	Idempotent    bool
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32

	records []byte
	scratch []byte
	count   int32
	baseTS  int64
	maxTS   int64
}

// Add appends a record; timestamp is in milliseconds, nil key or value is null.
func (b *Builder) Add(timestamp int64, key, value []byte, headers ...Header) {
	if b.count == 0 {
		b.baseTS, b.maxTS = timestamp, timestamp
	}
	b.maxTS = max(b.maxTS, timestamp)
	r := append(b.scratch[:0], 0)
	r = binary.AppendVarint(r, timestamp-b.baseTS)
	r = binary.AppendVarint(r, int64(b.count))
	r = appendBytes(r, key)
	r = appendBytes(r, value)
	r = binary.AppendVarint(r, int64(len(headers)))
	for _, h := range headers {
		r = binary.AppendVarint(r, int64(len(h.Key)))
		r = append(r, h.Key...)
		r = appendBytes(r, h.Value)
	}
	b.records = binary.AppendVarint(b.records, int64(len(r)))
	b.records = append(b.records, r...)
	b.scratch = r
	b.count++
}

// Len is the number of records added since the last Build.
func (b *Builder) Len() int { return int(b.count) }

// Size is the size of the batch without compression.
func (b *Builder) Size() int { return HeaderSize + len(b.records) }

// Build returns the batch, base offset 0, and empties the builder; nil if nothing was added.
// The bytes are the caller's.
func (b *Builder) Build() (Batch, error) {
	if b.count == 0 {
		return nil, nil
	}
	batch := make(Batch, HeaderSize, HeaderSize+len(b.records))
	out, err := compress(Codec{Compression: b.Compression}, batch, b.records)
	if err != nil {
		return nil, err
	}
	batch = out
	be := binary.BigEndian
	be.PutUint32(batch[lengthAt:], uint32(len(batch)-PrefixSize))
	be.PutUint32(batch[leaderEpochAt:], ^uint32(0))
	batch[magicAt] = Magic
	attributes := uint16(b.Compression)
	if b.Control {
		attributes |= controlBit
	}
	if b.Transactional {
		attributes |= transactionalBit
	}
	be.PutUint16(batch[attributesAt:], attributes)
	be.PutUint32(batch[lastOffsetDeltaAt:], uint32(b.count-1))
	be.PutUint64(batch[baseTimestampAt:], uint64(b.baseTS))
	be.PutUint64(batch[maxTimestampAt:], uint64(b.maxTS))
	id, epoch, seq := int64(-1), int16(-1), int32(-1)
	if b.Idempotent {
		id, epoch, seq = b.ProducerID, b.ProducerEpoch, b.BaseSequence
	}
	be.PutUint64(batch[producerIDAt:], uint64(id))
	be.PutUint16(batch[producerEpochAt:], uint16(epoch))
	be.PutUint32(batch[baseSequenceAt:], uint32(seq))
	be.PutUint32(batch[countAt:], uint32(b.count))
	batch.seal()
	b.records, b.count = b.records[:0], 0
	return batch, nil
}

func appendBytes(dst, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(v)))
	return append(dst, v...)
}
