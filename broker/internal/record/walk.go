package record

import (
	"encoding/binary"
	"fmt"
)

// RejectedError names the records of a batch that break a limit (KIP-467).
type RejectedError struct {
	Records []int32 // by their place in the batch
	Text    string  // why; the same for each
	class   error
}

// Error says how many there are.
func (r *RejectedError) Error() string {
	return fmt.Sprintf("%v: %s (%d records)", r.class, r.Text, len(r.Records))
}

// Unwrap is the class: ErrTimestamp when there is a timestamp among the reasons, else ErrInvalid.
func (r *RejectedError) Unwrap() error { return r.class }

// walk steps through the records, which p has uncompressed: exactly as many as the header says must fill it, each
// with fields that fit. It returns the largest timestamp.
func (b Batch) walk(p []byte, lim Limits) (largest int64, err error) {
	count := int(b.Count())
	if count > len(p)/minRecordSize {
		return 0, fmt.Errorf("%w: %d records in %d bytes", ErrInvalid, count, len(p))
	}
	largest = NoTimestamp
	base, fixed := b.BaseTimestamp(), b.LogAppendTime()
	var rejected *RejectedError
	for i := range count {
		size, at := varintAt(p, 0)
		if at <= 0 || size < minRecordSize-1 || size > int64(len(p)-at) {
			return 0, fmt.Errorf("%w: record %d of %d has a length that does not fit", ErrInvalid, i, count)
		}
		delta, hasKey, ok := fields(p[at : at+int(size)])
		if !ok {
			return 0, fmt.Errorf("%w: record %d of %d has a field that does not fit", ErrInvalid, i, count)
		}
		p = p[at+int(size):]
		t := base + delta
		if fixed {
			t = b.MaxTimestamp()
		}
		largest = max(largest, t)
		switch {
		case lim.NeedKey && !hasKey:
			rejected = rejected.add(i, ErrInvalid, "Compacted topic cannot accept message without key.")
		case fixed && (lim.StampTime || lim.CheckTime && t == NoTimestamp):
			rejected = rejected.add(i, ErrTimestamp, "Producer should not set timestamp type to LogAppendTime.")
		case lim.CheckTime && t != NoTimestamp && (t < lim.MinTimestamp || t > lim.MaxTimestamp):
			rejected = rejected.add(i, ErrTimestamp, "")
			if rejected.Text == "" {
				rejected.Text = fmt.Sprintf("Timestamp %d is out of range, which is [%d, %d].", t, lim.MinTimestamp, lim.MaxTimestamp)
			}
		}
	}
	switch {
	case len(p) != 0:
		return 0, fmt.Errorf("%w: %d bytes after the last of %d records", ErrInvalid, len(p), count)
	case rejected != nil:
		return 0, rejected
	}
	return largest, nil
}

func (r *RejectedError) add(record int, class error, text string) *RejectedError {
	if r == nil {
		r = &RejectedError{class: class}
	}
	if r.class == ErrInvalid { //nolint:errorlint // it is one of two, unwrapped
		r.class = class
	}
	if r.Text == "" {
		r.Text = text
	}
	r.Records = append(r.Records, int32(record))
	return r
}

// fields steps over the fields of a record behind its length, see decode. It reports false when they do not fill it.
func fields(p []byte) (timestampDelta int64, hasKey, ok bool) {
	timestampDelta, at := varintAt(p, 1) // behind the attributes
	if at < 0 {
		return 0, false, false
	}
	if _, at = varintAt(p, at); at < 0 { // offset delta: the header counts
		return 0, false, false
	}
	key, at := skipBytes(p, at)
	if at < 0 {
		return 0, false, false
	}
	if _, at = skipBytes(p, at); at < 0 {
		return 0, false, false
	}
	headers, at := varintAt(p, at)
	if at < 0 || headers < 0 || headers > int64(len(p)-at) {
		return 0, false, false
	}
	for range headers {
		var size int64
		if size, at = skipBytes(p, at); at < 0 || size < 0 {
			return 0, false, false
		}
		if _, at = skipBytes(p, at); at < 0 {
			return 0, false, false
		}
	}
	return timestampDelta, key >= 0, at == len(p)
}

// skipBytes steps over a length and that many bytes; length -1 is null. at is -1 when they do not fit.
func skipBytes(p []byte, from int) (size int64, at int) {
	size, at = varintAt(p, from)
	switch {
	case at < 0 || size < -1 || size > int64(len(p)-at):
		return 0, -1
	case size == -1:
		return -1, at
	}
	return size, at + int(size)
}

// varintAt reads a number; at is -1 when there is none. Most have one byte.
func varintAt(p []byte, from int) (v int64, at int) {
	if from < len(p) && p[from] < 0x80 {
		u := p[from]
		return int64(u>>1) ^ -int64(u&1), from + 1
	}
	return longVarintAt(p, from)
}

func longVarintAt(p []byte, from int) (int64, int) {
	if from >= len(p) {
		return 0, -1
	}
	v, n := binary.Varint(p[from:])
	if n <= 0 {
		return 0, -1
	}
	return v, from + n
}
