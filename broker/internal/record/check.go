package record

import (
	"fmt"
	"math"
)

// Limits are the rules that the topic adds to the format's own. The zero value adds none.
type Limits struct {
	MaxBatchBytes int  // max.message.bytes: the size of one batch; 0 is no limit
	NeedKey       bool // cleanup.policy contains compact: a record without a key is refused
	AllowControl  bool // the broker writes for itself: control batches are let through

	// CheckTime: the producer's timestamps stand. Those outside [MinTimestamp, MaxTimestamp] are refused, and
	// the header is put right where it says otherwise than the records.
	CheckTime    bool
	MinTimestamp int64
	MaxTimestamp int64
	// StampTime: the broker's timestamps stand. A batch that claims to have them already is refused.
	StampTime bool
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
// uncompressed batch are walked, field by field; nothing is decompressed unless
// a limit needs the records themselves. Records that break a limit are named by a *RejectedError.
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
	if b.Control() && b.Compression() == None {
		_, err := b.walk(b.Payload(), Limits{})
		return err
	}
	return b.checkRecords(lim)
}

// checkRecords looks at the records, where they can be seen or have to be.
func (b Batch) checkRecords(lim Limits) error {
	p := b.Payload()
	if b.Compression() != None {
		// The largest timestamp is taken from the header, unless that is a reason to look.
		suspect := lim.CheckTime && (lim.MinTimestamp > 0 || b.MaxTimestamp() > lim.MaxTimestamp || b.LogAppendTime()) || lim.StampTime && b.LogAppendTime()
		if b.Control() || !lim.NeedKey && !suspect {
			b.mend(lim, b.MaxTimestamp())
			return nil
		}
		done := decompressing()
		defer done()
		var err error
		if p, err = decompress(b.Compression(), p, MaxDecompressed); err != nil {
			return fmt.Errorf("%w: %w", ErrUndecodable, err)
		}
	}
	largest, err := b.walk(p, lim)
	if err != nil {
		return err
	}
	b.mend(lim, largest)
	return nil
}

// mend puts the header right where the producer's timestamps stand.
func (b Batch) mend(lim Limits, largest int64) {
	if lim.CheckTime && (largest != b.MaxTimestamp() || b.LogAppendTime()) {
		b.setCreateTime(largest)
	}
}
