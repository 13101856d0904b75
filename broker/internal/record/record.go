package record

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte // nil is null, which is not empty
}

// Record is one decoded record. Key and Value are nil when they are null; they and the
// headers' values are slices of the batch or of its decompressed copy.
type Record struct {
	Offset    Offset
	Timestamp int64 // milliseconds
	Key       []byte
	Value     []byte
	Headers   []Header
}

// MaxDecompressed bounds what one batch may decompress to.
const MaxDecompressed = 64 << 20

// Records decodes the records of the batch, decompressing at most limit bytes. It ends after
// the first error, which wraps ErrCorrupt or ErrInvalid.
func (b Batch) Records(limit int) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		p, err := decompress(b.Compression(), b.Payload(), limit)
		if err != nil {
			yield(Record{}, err)
			return
		}
		count := b.Count()
		for i := range count {
			var r Record
			r, p, err = b.decode(p)
			if err != nil {
				yield(Record{}, fmt.Errorf("record %d of %d: %w", i, count, err))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
		if len(p) != 0 {
			yield(Record{}, fmt.Errorf("%w: %d bytes after the last of %d records", ErrInvalid, len(p), count))
		}
	}
}

// decode takes one record from p:
//
//	length varint | attributes 1 | timestampDelta varlong | offsetDelta varint |
//	keyLength varint | key | valueLength varint | value | headerCount varint | headers
func (b Batch) decode(p []byte) (Record, []byte, error) {
	size, n := binary.Varint(p)
	if n <= 0 || size < minRecordSize-1 || size > int64(len(p)-n) {
		return Record{}, nil, fmt.Errorf("%w: length does not fit", ErrInvalid)
	}
	body, rest := cursor{p: p[n : n+int(size)]}, p[n+int(size):]
	body.skip(1) // attributes: unused in format 2
	timestamp := body.varint()
	offset := body.varint()
	r := Record{Timestamp: b.BaseTimestamp() + timestamp, Offset: b.BaseOffset() + Offset(offset)}
	if b.LogAppendTime() {
		r.Timestamp = b.MaxTimestamp()
	}
	r.Key = body.bytes()
	r.Value = body.bytes()
	headers := body.varint()
	if headers < 0 || headers > int64(len(body.p)/2) { // a header has two length bytes at least
		return Record{}, nil, fmt.Errorf("%w: %d headers in %d bytes", ErrInvalid, headers, len(body.p))
	}
	if headers > 0 {
		r.Headers = make([]Header, headers)
		for i := range r.Headers {
			key := body.bytes()
			if key == nil {
				return Record{}, nil, fmt.Errorf("%w: header without key", ErrInvalid)
			}
			r.Headers[i] = Header{Key: string(key), Value: body.bytes()}
		}
	}
	switch {
	case body.bad:
		return Record{}, nil, fmt.Errorf("%w: a field does not fit into its record", ErrInvalid)
	case len(body.p) != 0:
		return Record{}, nil, fmt.Errorf("%w: %d bytes left in the record", ErrInvalid, len(body.p))
	case offset < 0 || offset > int64(b.LastOffsetDelta()):
		return Record{}, nil, fmt.Errorf("%w: offset delta %d", ErrInvalid, offset)
	}
	return r, rest, nil
}

// cursor reads fields from the front of p; once something does not fit it is bad and yields zeros.
type cursor struct {
	p   []byte
	bad bool
}

func (c *cursor) skip(n int) {
	if n > len(c.p) {
		c.bad, c.p = true, nil
		return
	}
	c.p = c.p[n:]
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.p)
	if n <= 0 {
		c.bad, c.p = true, nil
		return 0
	}
	c.p = c.p[n:]
	return v
}

// bytes reads a length and that many bytes; length -1 is nil.
func (c *cursor) bytes() []byte {
	size := c.varint()
	if size == -1 {
		return nil
	}
	if c.bad || size < 0 || size > int64(len(c.p)) {
		c.bad, c.p = true, nil
		return nil
	}
	v := c.p[:size:size]
	c.p = c.p[size:]
	return v
}
