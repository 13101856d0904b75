package wire

import (
	"encoding/binary"
	"errors"
)

// ErrMalformed is returned for bytes that do not follow the protocol.
var ErrMalformed = errors.New("malformed request")

// Header is a request header, version 1 or 2.
type Header struct {
	Key           int16
	Version       int16
	CorrelationID int32
	ClientID      string // empty where the client sent null
}

// ParseHeader reads the header that frame begins with and returns the body,
// which is a slice of frame. flexible says whether the request's version has
// header version 2, the one with tagged fields (KIP-482).
func ParseHeader(frame []byte, flexible bool) (Header, []byte, error) {
	d := decoder{b: frame}
	h := Header{Key: d.int16(), Version: d.int16(), CorrelationID: d.int32()}
	if n := d.int16(); n >= 0 {
		h.ClientID = string(d.take(int(n)))
	} else if n < -1 {
		d.bad = true
	}
	if flexible {
		d.skipTags()
	}
	if d.bad {
		return h, nil, ErrMalformed
	}
	return h, d.b, nil
}

// AppendResponseHeader appends a response header: version 0 is the correlation
// id, version 1 has tagged fields after it. ApiVersions always has version 0,
// because the client does not know yet what the broker understands (KIP-511).
func AppendResponseHeader(dst []byte, correlationID int32, flexible bool) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlationID))
	if flexible {
		dst = append(dst, 0)
	}
	return dst
}

// decoder takes primitives off the front of b. After the first error everything
// it returns is zero and bad is set.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.bad, d.b = true, nil
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) int16() int16 {
	if v := d.take(2); v != nil {
		return int16(binary.BigEndian.Uint16(v))
	}
	return 0
}

func (d *decoder) int32() int32 {
	if v := d.take(4); v != nil {
		return int32(binary.BigEndian.Uint32(v))
	}
	return 0
}

func (d *decoder) uvarint() uint32 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > 1<<32-1 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return uint32(v)
}

// length reads the length of a string, bytes or array; -1 is null.
func (d *decoder) length(flexible, wide bool) int {
	switch {
	case flexible:
		return int(d.uvarint()) - 1
	case wide:
		return int(d.int32())
	default:
		return int(d.int16())
	}
}

// bytes reads nullable bytes.
func (d *decoder) bytes(flexible bool) []byte {
	n := d.length(flexible, true)
	if n < -1 {
		d.bad, d.b = true, nil
	}
	if n < 0 {
		return nil
	}
	return d.take(n)
}

// string reads a nullable string; it returns a slice of the input.
func (d *decoder) string(flexible bool) (v []byte, null bool) {
	n := d.length(flexible, false)
	if n < -1 {
		d.bad, d.b = true, nil
	}
	if n < 0 {
		return nil, true
	}
	return d.take(n), false
}

func (d *decoder) skipTags() {
	for n := d.uvarint(); n > 0 && !d.bad; n-- {
		d.uvarint()
		d.take(int(d.uvarint()))
	}
}
