package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
)

var codecs = []Compression{None, Gzip, Snappy, LZ4, Zstd}

func build(t testing.TB, c Compression, n int) Batch {
	t.Helper()
	b := Builder{Compression: c}
	for i := range n {
		b.Add(1000+int64(i), fmt.Appendf(nil, "key %d", i), bytes.Repeat([]byte("value "), i), Header{"h", []byte{byte(i)}}, Header{"null", nil})
	}
	batch, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

func records(b Batch) ([]Record, error) {
	var out []Record
	for r, err := range b.Records(1 << 20) {
		if err != nil {
			return out, err
		}
		out = append(out, r)
	}
	return out, nil
}

func TestBuilder_RoundTrip(t *testing.T) {
	t.Parallel()
	for _, c := range codecs {
		b := build(t, c, 20)
		if sum, err := Check(b, Limits{}); err != nil || sum.Records != 20 || sum.Batches != 1 || sum.MaxTimestamp != 1019 {
			t.Fatalf("%s: %+v, %v", c, sum, err)
		}
		b.SetBaseOffset(500)
		b.SetLeaderEpoch(7)
		if !b.Intact() || b.BaseOffset() != 500 || b.LastOffset() != 519 || b.NextOffset() != 520 || b.LeaderEpoch() != 7 || b.Compression() != c {
			t.Errorf("%s: header %d %d %d %d", c, b.BaseOffset(), b.LastOffset(), b.LeaderEpoch(), b.Compression())
		}
		got, err := records(b)
		if err != nil || len(got) != 20 {
			t.Fatalf("%s: %d records, %v", c, len(got), err)
		}
		for i, r := range got {
			if r.Offset != Offset(500+i) || r.Timestamp != 1000+int64(i) || string(r.Key) != fmt.Sprintf("key %d", i) ||
				string(r.Value) != strings.Repeat("value ", i) || len(r.Headers) != 2 || r.Headers[1].Value != nil || r.Headers[0].Value[0] != byte(i) {
				t.Errorf("%s: record %d: %+v", c, i, r)
			}
		}
	}
}

func TestBuilder_Nulls(t *testing.T) {
	t.Parallel()
	var b Builder
	b.Add(-5, nil, nil)
	b.Add(-9, []byte{}, []byte{})
	batch, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	got, err := records(batch)
	if err != nil || got[0].Key != nil || got[0].Value != nil || got[1].Key == nil || got[1].Value == nil {
		t.Errorf("%+v, %v", got, err)
	}
	if got[1].Timestamp != -9 || batch.MaxTimestamp() != -5 || batch.ProducerID() != NoProducer || batch.BaseSequence() != -1 {
		t.Errorf("%+v", got)
	}
	if empty, err := b.Build(); empty != nil || err != nil {
		t.Errorf("empty: %v, %v", empty, err)
	}
}

func TestBatch_LogAppendTime(t *testing.T) {
	t.Parallel()
	b := build(t, None, 3)
	before := b.CRC()
	b.SetLogAppendTime(77)
	if !b.Intact() || b.CRC() == before || !b.LogAppendTime() || b.MaxTimestamp() != 77 {
		t.Errorf("intact %t, time %d", b.Intact(), b.MaxTimestamp())
	}
	got, err := records(b)
	if err != nil || got[0].Timestamp != 77 || got[2].Timestamp != 77 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestBatch_SequenceWraps(t *testing.T) {
	t.Parallel()
	for first, want := range map[int32]int32{0: 2, 1<<31 - 3: 1<<31 - 1, 1<<31 - 2: 0, 1<<31 - 1: 1} {
		b := Builder{Idempotent: true, ProducerID: 1, BaseSequence: first}
		for range 3 {
			b.Add(0, nil, nil)
		}
		batch, err := b.Build()
		if err != nil || batch.LastSequence() != want {
			t.Errorf("from %d: %d, want %d, %v", first, batch.LastSequence(), want, err)
		}
	}
}

// Java clients frame snappy as xerial does: a header and blocks, each with its length.
func TestRecords_XerialSnappy(t *testing.T) {
	t.Parallel()
	plain := build(t, None, 20)
	payload := plain.Payload()
	framed := slices.Concat(xerial, []byte{0, 0, 0, 1, 0, 0, 0, 1})
	for part := range slices.Chunk(payload, 300) {
		block := snappy.Encode(nil, part)
		framed = binary.BigEndian.AppendUint32(framed, uint32(len(block)))
		framed = append(framed, block...)
	}
	b := slices.Concat(plain[:HeaderSize], framed)
	binary.BigEndian.PutUint32(b[lengthAt:], uint32(len(b)-PrefixSize))
	b[attributesAt+1] |= byte(Snappy)
	b.seal()
	want, _ := records(plain)
	got, err := records(b)
	if err != nil || len(got) != len(want) || !bytes.Equal(got[19].Value, want[19].Value) {
		t.Errorf("%d records, %v", len(got), err)
	}
	for cut := xerialHeader + 1; cut < len(framed); cut += 7 {
		if _, err := unsnappy(framed[:cut], 1<<20); err == nil && (cut-xerialHeader) < 10 {
			t.Errorf("cut at %d: no error", cut)
		}
	}
}

// change returns a copy of a batch with a field changed and the checksum made right again.
func change(b Batch, at int, value ...byte) Batch {
	b = slices.Clone(b)
	copy(b[at:], value)
	if at >= CheckedFrom {
		b.seal()
	}
	return b
}

func TestCheck_Refuses(t *testing.T) {
	t.Parallel()
	good := build(t, None, 3)
	bad := slices.Clone(good)
	bad[70] ^= 1
	var keyless Builder
	keyless.Add(5, nil, []byte("v"))
	noKey, _ := keyless.Build()
	zipped := Builder{Compression: Zstd}
	zipped.Add(5, nil, []byte("v"))
	noKeyZipped, _ := zipped.Build()
	for _, test := range []struct {
		name  string
		batch []byte
		lim   Limits
		want  error
	}{
		{"nothing", nil, Limits{}, ErrInvalid},
		{"part of a header", good[:40], Limits{}, ErrCorrupt},
		{"part of a batch", good[:len(good)-1], Limits{}, ErrCorrupt},
		{"bytes after the batch", append(slices.Clone(good), 1, 2, 3), Limits{}, ErrCorrupt},
		{"flipped bit", bad, Limits{}, ErrCorrupt},
		{"flipped bit in the second", slices.Concat(good, bad), Limits{}, ErrCorrupt},
		{"magic 0", change(good, magicAt, 0), Limits{}, ErrUnsupportedFormat},
		{"magic 1", change(good, magicAt, 1), Limits{}, ErrUnsupportedFormat},
		{"magic 1, short", change(good, magicAt, 1)[:34], Limits{}, ErrUnsupportedFormat},
		{"magic 3", change(good, magicAt, 3), Limits{}, ErrCorrupt},
		{"negative length", change(good, lengthAt, 0xff, 0xff, 0xff, 0xf0), Limits{}, ErrCorrupt},
		{"huge length", change(good, lengthAt, 0x7f, 0xff, 0xff, 0xff), Limits{}, ErrCorrupt},
		{"length of no header", change(good, lengthAt, 0, 0, 0, 48), Limits{}, ErrCorrupt},
		{"count 0", change(good, countAt, 0, 0, 0, 0), Limits{}, ErrInvalid},
		{"count -1", change(good, countAt, 0xff, 0xff, 0xff, 0xff), Limits{}, ErrInvalid},
		{"count against delta", change(good, countAt, 0, 0, 0, 4), Limits{}, ErrInvalid},
		{"count of a billion", change(change(good, countAt, 0x40, 0, 0, 0), lastOffsetDeltaAt, 0x3f, 0xff, 0xff, 0xff), Limits{}, ErrInvalid},
		{"record length", change(good, HeaderSize, 0xfe, 0xff, 0xff, 0xff, 0x0f), Limits{}, ErrInvalid},
		{"codec 5", change(good, attributesAt+1, 5), Limits{}, ErrUnsupportedCompression},
		{"control", change(good, attributesAt+1, controlBit), Limits{}, ErrInvalid},
		{"control of the broker", change(good, attributesAt+1, controlBit), Limits{AllowControl: true}, nil},
		{"transaction without producer", change(good, attributesAt+1, transactionalBit), Limits{}, ErrInvalid},
		{"producer without sequence", change(good, producerIDAt, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0), Limits{}, ErrInvalid},
		{"negative base offset", change(good, 0, 0xff), Limits{}, ErrInvalid},
		{"too large", good, Limits{MaxBatchBytes: len(good) - 1}, ErrTooLarge},
		{"just fits", good, Limits{MaxBatchBytes: len(good)}, nil},
		{"no key", noKey, Limits{NeedKey: true}, ErrInvalid},
		{"no key, compressed", noKeyZipped, Limits{NeedKey: true}, ErrInvalid},
		{"keys", good, Limits{NeedKey: true}, nil},
		{"too new", good, Limits{CheckTime: true, MaxTimestamp: 1001}, ErrTimestamp},
		{"too old", good, Limits{CheckTime: true, MaxTimestamp: 2000, MinTimestamp: 1001}, ErrTimestamp},
		{"in time", good, Limits{CheckTime: true, MaxTimestamp: 1002, MinTimestamp: 1000}, nil},
		{"two", slices.Concat(good, noKey), Limits{}, nil},
	} {
		if _, err := Check(test.batch, test.lim); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

func TestDecompress_Bounded(t *testing.T) {
	t.Parallel()
	bomb := make([]byte, 8<<20)
	for _, c := range codecs[1:] {
		packed, err := compress(Codec{Compression: c}, nil, bomb)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decompress(c, packed, 1<<20); !errors.Is(err, ErrCorrupt) || !errors.Is(err, errOutput) {
			t.Errorf("%s: %d bytes: %v", c, len(packed), err)
		}
		if out, err := decompress(c, packed, len(bomb)); err != nil || len(out) != len(bomb) {
			t.Errorf("%s: %d bytes, %v", c, len(out), err)
		}
	}
	// A length in the preamble that the input cannot hold is not allocated for.
	if _, err := unsnappy([]byte{0xff, 0xff, 0xff, 0x7f, 0, 0}, 1<<30); err == nil {
		t.Error("a lie about the length was believed")
	}
}

// FuzzCheck: what Check lets through can be walked and decoded without a panic, has as many records as
// it says when nothing is compressed, and stays intact when it gets its offset.
func FuzzCheck(f *testing.F) {
	for _, c := range codecs {
		f.Add([]byte(build(f, c, 3)))
	}
	f.Add([]byte(slices.Concat(build(f, None, 1), build(f, Zstd, 2))))
	f.Fuzz(func(t *testing.T, data []byte) {
		seal(data)
		sum, err := Check(data, Limits{})
		if err != nil {
			return
		}
		var n int64
		for rest := data; len(rest) > 0; {
			var b Batch
			if b, rest, err = Next(rest); err != nil {
				t.Fatalf("Check lets through what Next does not: %v", err)
			}
			b.SetBaseOffset(1 << 40)
			b.SetLeaderEpoch(3)
			if !b.Intact() {
				t.Fatal("offset and epoch are covered by the checksum")
			}
			n += int64(b.Count())
			got, err := records(b)
			if err == nil && len(got) != int(b.Count()) {
				t.Fatalf("%d records, header says %d", len(got), b.Count())
			}
		}
		if n != sum.Records {
			t.Fatalf("%d records, Check says %d", n, sum.Records)
		}
	})
}

// seal makes the checksums of damaged batches right, so that the fuzzer gets behind them.
func seal(data []byte) {
	for len(data) >= HeaderSize {
		n := Batch(data).Size()
		if n < HeaderSize || n > len(data) {
			return
		}
		binary.BigEndian.PutUint32(data[crcAt:], crc32.Checksum(data[attributesAt:n], castagnoli))
		data = data[n:]
	}
}

// FuzzDecompress: no codec panics or returns more than it may.
func FuzzDecompress(f *testing.F) {
	for _, c := range codecs {
		packed, err := compress(Codec{Compression: c}, nil, bytes.Repeat([]byte("abc"), 100))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(c), packed)
	}
	f.Add(byte(Snappy), slices.Concat(xerial, make([]byte, 20)))
	f.Fuzz(func(t *testing.T, c byte, data []byte) {
		const limit = 1 << 16
		out, err := decompress(Compression(c%5), data, limit)
		if err == nil && Compression(c%5) != None && len(out) > limit {
			t.Fatalf("%d bytes", len(out))
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	batch := build(b, None, 40)
	b.SetBytes(int64(len(batch)))
	for b.Loop() {
		if _, err := Check(batch, Limits{MaxBatchBytes: 1 << 20}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecords(b *testing.B) {
	batch := build(b, None, 40)
	b.SetBytes(int64(len(batch)))
	for b.Loop() {
		for _, err := range batch.Records(1 << 20) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
