package record

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Limits are the rules that the topic adds to the format's own. The zero value adds none.
type Limits struct {
	MaxBatchBytes int  // max.message.bytes: the size of one batch; 0 is no limit
	NeedKey       bool // cleanup.policy contains compact: a record without a key is refused
	AllowControl  bool // the broker writes for itself: control batches are let through

	// Timestamps outside [MinTimestamp, MaxTimestamp] are refused, when CheckTime is set.
	CheckTime    bool
	MinTimestamp int64
	MaxTimestamp int64
}

// Summary is what Check learned on its way.
type Summary struct {
	Batches      int
	Records      int64
	MaxTimestamp int64
}

// minRecordSize is a record with nothing in it: length, attributes, two deltas, key and
// value length, header count, one byte each.
const minRecordSize = 7

// Check tells whether buf is a sequence of whole batches that may be appended: lengths,
// magic, CRC-32C, counts against offsets, sequence numbers, limits. The records of an
// uncompressed batch are walked by their lengths; nothing is decompressed unless
// a limit needs the records themselves.
func Check(buf []byte, lim Limits) (Summary, error) {
	sum := Summary{MaxTimestamp: NoTimestamp}
	if len(buf) == 0 {
		return sum, fmt.Errorf("%w: no batch", ErrInvalid)
	}
	for len(buf) > 0 {
		b, rest, err := Next(buf)
		if err != nil {
			return sum, err
		}
		if err := b.check(lim); err != nil {
			return sum, err
		}
		sum.Batches++
		sum.Records += int64(b.Count())
		sum.MaxTimestamp = max(sum.MaxTimestamp, b.MaxTimestamp())
		buf = rest
	}
	return sum, nil
}

func (b Batch) check(lim Limits) error {
	if lim.MaxBatchBytes > 0 && len(b) > lim.MaxBatchBytes {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, len(b), lim.MaxBatchBytes)
	}
	if !b.Intact() {
		return fmt.Errorf("%w: checksum %08x, computed %08x", ErrCorrupt, b.CRC(), b.Checksum())
	}
	count, delta := b.Count(), b.LastOffsetDelta()
	switch {
	case count <= 0:
		return fmt.Errorf("%w: count %d", ErrInvalid, count)
	case int64(count) != int64(delta)+1:
		return fmt.Errorf("%w: %d records with last offset delta %d", ErrInvalid, count, delta)
	case b.BaseOffset() < 0 || int64(b.BaseOffset()) > math.MaxInt64-int64(count):
		return fmt.Errorf("%w: base offset %d", ErrInvalid, b.BaseOffset())
	case b.Compression() > Zstd:
		return fmt.Errorf("%w: %d", ErrUnsupportedCompression, b.Compression())
	case b.Control() && !lim.AllowControl:
		return fmt.Errorf("%w: clients are not allowed to write control records", ErrInvalid)
	case b.ProducerID() < NoProducer:
		return fmt.Errorf("%w: producer id %d", ErrInvalid, b.ProducerID())
	case b.ProducerID() >= 0 && !b.Control() && b.BaseSequence() < 0:
		return fmt.Errorf("%w: sequence number %d with producer id %d", ErrInvalid, b.BaseSequence(), b.ProducerID())
	case b.ProducerID() >= 0 && b.ProducerEpoch() < 0:
		return fmt.Errorf("%w: producer epoch %d with producer id %d", ErrInvalid, b.ProducerEpoch(), b.ProducerID())
	case b.Transactional() && b.ProducerID() < 0:
		return fmt.Errorf("%w: transactional batch without producer id", ErrInvalid)
	}
	if b.Compression() == None {
		if err := b.walk(); err != nil {
			return err
		}
	}
	return b.checkRecords(lim)
}

// walk steps over the records of an uncompressed batch: exactly count of them must fill it.
func (b Batch) walk() error {
	p, count := b.Payload(), int(b.Count())
	if count > len(p)/minRecordSize {
		return fmt.Errorf("%w: %d records in %d bytes", ErrInvalid, count, len(p))
	}
	for i := range count {
		size, n := binary.Varint(p)
		if n <= 0 || size < minRecordSize-1 || size > int64(len(p)-n) {
			return fmt.Errorf("%w: record %d of %d has a length that does not fit", ErrInvalid, i, count)
		}
		p = p[n+int(size):]
	}
	if len(p) != 0 {
		return fmt.Errorf("%w: %d bytes after the last of %d records", ErrInvalid, len(p), count)
	}
	return nil
}

// checkRecords applies the limits that need more than the header.
func (b Batch) checkRecords(lim Limits) error {
	if lim.CheckTime && b.MaxTimestamp() > lim.MaxTimestamp {
		return fmt.Errorf("%w: %d is after %d", ErrTimestamp, b.MaxTimestamp(), lim.MaxTimestamp)
	}
	needTimes := lim.CheckTime && lim.MinTimestamp > 0
	if (!lim.NeedKey && !needTimes) || b.Control() {
		return nil
	}
	for r, err := range b.Records(MaxDecompressed) {
		switch {
		case err != nil:
			return err
		case lim.NeedKey && r.Key == nil:
			return fmt.Errorf("%w: compacted topic cannot accept message without key", ErrInvalid)
		case needTimes && r.Timestamp < lim.MinTimestamp:
			return fmt.Errorf("%w: %d is before %d", ErrTimestamp, r.Timestamp, lim.MinTimestamp)
		}
	}
	return nil
}
