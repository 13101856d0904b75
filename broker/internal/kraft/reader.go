package kraft

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrBadRecord is returned for a metadata record that cannot be read.
var ErrBadRecord = errors.New("bad metadata record")

// reader takes fields of Kafka's flexible format from a record. After the first error
// it returns zero values; err tells.
type reader struct {
	p   []byte
	err error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrBadRecord, what)
	}
	r.p = nil
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.p) {
		r.fail(fmt.Sprintf("%d bytes wanted, %d are left", n, len(r.p)))
		return nil
	}
	taken := r.p[:n:n]
	r.p = r.p[n:]
	return taken
}

func (r *reader) uvarint() uint32 {
	v, n := binary.Uvarint(r.p)
	if n <= 0 || v > 1<<32-1 {
		r.fail("unsigned varint")
		return 0
	}
	r.p = r.p[n:]
	return uint32(v)
}

func (r *reader) int8() int8 {
	if b := r.take(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *reader) uuid() (id [16]byte) {
	copy(id[:], r.take(16))
	return id
}

// length is that of a compact string or array; -1 is null.
func (r *reader) length() int { return int(r.uvarint()) - 1 }

// text is a string that must not be null.
func (r *reader) text() string {
	n := r.length()
	if n < 0 {
		r.fail("null where a string must be")
		return ""
	}
	return string(r.take(n))
}

// bytes must not be null.
func (r *reader) bytes() []byte { return []byte(r.text()) }

// nullableText is nil for null.
func (r *reader) nullableText() *string {
	n := r.length()
	if n < 0 {
		return nil
	}
	s := string(r.take(n))
	return &s
}

// int32s is an array; null is nil.
func (r *reader) int32s() []int32 {
	n := r.length()
	if n < 0 {
		return nil
	}
	b := r.take(4 * n)
	list := make([]int32, 0, len(b)/4)
	for ; len(b) > 0; b = b[4:] {
		list = append(list, int32(binary.BigEndian.Uint32(b)))
	}
	return list
}

// tagged calls f with each tagged field.
func (r *reader) tagged(f func(tag uint32, field *reader)) {
	for range r.uvarint() {
		tag, size := r.uvarint(), r.uvarint()
		field := &reader{p: r.take(int(size))}
		if r.err != nil {
			return
		}
		f(tag, field)
		if field.err != nil {
			r.err = field.err
			return
		}
	}
}

func (r *reader) skipTagged() { r.tagged(func(uint32, *reader) {}) }
