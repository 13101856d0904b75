package compat

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// draft is a record batch that may be wrong in any way. What is nil or zero is as it should be.
type draft struct {
	codec    int16 // as in the attributes
	bits     int16 // further attributes
	at       time.Time
	deltas   []int64  // of time, by record
	offsets  []int64  // offset deltas, by record
	keys     []string // "-" is null
	values   []string // "-" is null
	max      *int64   // the header's largest timestamp
	base     int64
	count    *int32
	last     *int32 // last offset delta
	producer *[3]int64
	raw      func(records []byte) []byte // before compression
	packed   func(records []byte) []byte // after it
	whole    func(batch []byte) []byte   // after the checksum
}

const fixedTime = 1_700_000_000_000

var codecs = map[int16]kgo.CompressionCodec{1: kgo.GzipCompression(), 2: kgo.SnappyCompression(), 3: kgo.Lz4Compression(), 4: kgo.ZstdCompression()}

func codecName(attributes int16) string {
	return [...]string{"none", "gzip", "snappy", "lz4", "zstd", "5", "6", "7"}[attributes&7]
}

func nth[T any](list []T, i int, otherwise T) T {
	if i < len(list) {
		return list[i]
	}
	return otherwise
}

func (d draft) encode(t *testing.T) []byte {
	t.Helper()
	begin := int64(fixedTime)
	if !d.at.IsZero() {
		begin = d.at.UnixMilli()
	}
	if d.values == nil {
		d.values = []string{"v0", "v1", "v2"}
	}
	var records []byte
	largest := begin
	for i, v := range d.values {
		delta := nth(d.deltas, i, 0)
		largest = max(largest, begin+delta)
		body := []byte{0}
		body = binary.AppendVarint(body, delta)
		body = binary.AppendVarint(body, nth(d.offsets, i, int64(i)))
		for _, text := range []string{nth(d.keys, i, "k"), v} {
			if text == "-" {
				body = binary.AppendVarint(body, -1)
				continue
			}
			body = append(binary.AppendVarint(body, int64(len(text))), text...)
		}
		body = append(body, 0)
		records = append(binary.AppendVarint(records, int64(len(body))), body...)
	}
	if d.raw != nil {
		records = d.raw(records)
	}
	if codec, ok := codecs[d.codec]; ok {
		c, err := kgo.DefaultCompressor(codec)
		if err != nil {
			t.Fatal(err)
		}
		records, _ = c.Compress(new(bytes.Buffer), records)
		records = bytes.Clone(records)
	}
	if d.packed != nil {
		records = d.packed(records)
	}
	be := binary.BigEndian
	n := int32(len(d.values))
	b := be.AppendUint64(nil, uint64(d.base))
	b = be.AppendUint32(b, uint32(61-12+len(records)))
	b = be.AppendUint32(b, ^uint32(0))
	b = append(b, 2, 0, 0, 0, 0)
	b = be.AppendUint16(b, uint16(d.codec|d.bits))
	b = be.AppendUint32(b, uint32(or(d.last, n-1)))
	b = be.AppendUint64(b, uint64(begin))
	b = be.AppendUint64(b, uint64(or(d.max, largest)))
	p := or(d.producer, [3]int64{-1, -1, -1})
	b = be.AppendUint64(b, uint64(p[0]))
	b = be.AppendUint16(b, uint16(p[1]))
	b = be.AppendUint32(b, uint32(p[2]))
	b = be.AppendUint32(b, uint32(or(d.count, n)))
	b = append(b, records...)
	be.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	if d.whole != nil {
		b = d.whole(b)
	}
	return b
}

func or[T any](v *T, otherwise T) T {
	if v == nil {
		return otherwise
	}
	return *v
}

func to[T any](v T) *T { return &v }
