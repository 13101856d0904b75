package record

import (
	"encoding/binary"
	"fmt"
)

// DeleteHorizon is the time in milliseconds until which tombstones, or the marker, of the batch are kept (KIP-534). It
// lies where the base timestamp is: the records' deltas then add to it. ok is false when none is set yet.
func (b Batch) DeleteHorizon() (ms int64, ok bool) {
	return b.BaseTimestamp(), b[attributesAt+1]&deleteHorizonBit != 0
}

// Emptied is the header of the batch alone, without records: what compaction leaves where offsets, epoch or sequence numbers
// still count. The new bytes are the caller's.
func (b Batch) Emptied() Batch {
	out := make(Batch, HeaderSize)
	copy(out, b[:HeaderSize])
	be := binary.BigEndian
	be.PutUint32(out[lengthAt:], HeaderSize-PrefixSize)
	out[attributesAt+1] &^= compressionMask | deleteHorizonBit
	be.PutUint64(out[baseTimestampAt:], ^uint64(0)) // NoTimestamp
	be.PutUint32(out[countAt:], 0)
	out.seal()
	return out
}

// Selection is some of the records of a batch, as Select has chosen them. It holds slices of the batch, or of its
// decompressed copy.
type Selection struct {
	Read       int  // records that the batch has
	Tombstones bool // a record without a value is among the kept
	batch      Batch
	kept       []chosen
}

// chosen is a record without its length and timestamp.
type chosen struct {
	attributes byte
	timestamp  int64
	rest       []byte // from the offset delta on
}

// Kept is how many records were chosen.
func (s *Selection) Kept() int { return len(s.kept) }

// All tells whether none was left out.
func (s *Selection) All() bool { return s.Read == len(s.kept) }

// Select asks keep of each record, decompressing at most limit bytes. An error wraps ErrCorrupt or ErrInvalid.
func (b Batch) Select(limit int, keep func(Record) bool) (Selection, error) {
	s := Selection{batch: b}
	p, err := decompress(b.Compression(), b.Payload(), limit)
	if err != nil {
		return s, err
	}
	for count := int(b.Count()); s.Read < count; s.Read++ {
		r, rest, err := b.decode(p)
		if err != nil {
			return s, fmt.Errorf("record %d of %d: %w", s.Read, count, err)
		}
		if keep(r) {
			s.Tombstones = s.Tombstones || r.Value == nil
			body := p[:len(p)-len(rest)]
			_, length := binary.Varint(body) // decode has looked at both varints
			body = body[length:]
			_, delta := binary.Varint(body[1:])
			s.kept = append(s.kept, chosen{attributes: body[0], timestamp: r.Timestamp, rest: body[1+delta:]})
		}
		p = rest
	}
	if len(p) != 0 {
		return s, fmt.Errorf("%w: %d bytes after the last of %d records", ErrInvalid, len(p), s.Read)
	}
	return s, nil
}

// Build makes a batch of the chosen records, of which there is at least one. Offsets, sequence numbers, epochs and codec are
// those of the batch they come from; horizon, unless it is NoTimestamp, becomes the delete horizon. The new
// bytes are the caller's.
func (s *Selection) Build(horizon int64) (Batch, error) {
	from := s.batch
	base, largest := s.kept[0].timestamp, NoTimestamp
	if horizon != NoTimestamp {
		base = horizon
	}
	var body, payload []byte
	for _, r := range s.kept {
		largest = max(largest, r.timestamp)
		body = append(body[:0], r.attributes)
		body = binary.AppendVarint(body, r.timestamp-base)
		body = append(body, r.rest...)
		payload = binary.AppendVarint(payload, int64(len(body)))
		payload = append(payload, body...)
	}
	out := make(Batch, HeaderSize, HeaderSize+len(payload))
	copy(out, from[:HeaderSize])
	out, err := compress(Codec{Compression: from.Compression()}, out, payload)
	if err != nil {
		return nil, err
	}
	be := binary.BigEndian
	be.PutUint32(out[lengthAt:], uint32(len(out)-PrefixSize))
	out[attributesAt+1] &^= deleteHorizonBit
	if horizon != NoTimestamp {
		out[attributesAt+1] |= deleteHorizonBit
	}
	be.PutUint64(out[baseTimestampAt:], uint64(base))
	if !from.LogAppendTime() {
		be.PutUint64(out[maxTimestampAt:], uint64(largest))
	}
	be.PutUint32(out[countAt:], uint32(len(s.kept)))
	out.seal()
	return out, nil
}
