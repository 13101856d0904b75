package record

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// Whatever the codec and its level, the records stay what they were, and the header tells of them.
func TestRecompress(t *testing.T) {
	t.Parallel()
	levels := map[Compression][]int{None: {0}, Snappy: {0}, Gzip: {-1, 1, 9}, LZ4: {1, 9, 17}, Zstd: {-5, 3, 22}}
	for from := None; from <= Zstd; from++ {
		b := build(t, from, 50)
		want, err := records(b)
		if err != nil {
			t.Fatal(err)
		}
		for to, of := range levels {
			for _, level := range of {
				packed, err := b.Recompress(Codec{to, level}, Limits{})
				if err != nil || !packed.Intact() || packed.Size() != len(packed) || packed.Compression() != to || packed.MaxTimestamp() != b.MaxTimestamp() {
					t.Fatalf("%s to %s at %d: %v", from, to, level, err)
				}
				got, err := records(packed)
				if err != nil || len(got) != len(want) || !bytes.Equal(got[49].Value, want[49].Value) || got[49].Timestamp != want[49].Timestamp {
					t.Fatalf("%s to %s at %d: %d records, %v", from, to, level, len(got), err)
				}
			}
		}
	}
}

// The records that break a limit are named; a wrong header is put right.
func TestCheck_NamesRecords(t *testing.T) {
	t.Parallel()
	var builder Builder
	for _, r := range []struct {
		time int64
		key  []byte
	}{{1000, []byte("k")}, {5000, []byte("k")}, {1000, nil}, {NoTimestamp, []byte("k")}} {
		builder.Add(r.time, r.key, nil)
	}
	b, err := builder.Build()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		lim   Limits
		class error
		want  []int32
	}{
		{Limits{NeedKey: true}, ErrInvalid, []int32{2}},
		{Limits{CheckTime: true, MaxTimestamp: 2000}, ErrTimestamp, []int32{1}},
		{Limits{NeedKey: true, CheckTime: true, MaxTimestamp: 2000}, ErrTimestamp, []int32{1, 2}},
	} {
		var rejected *RejectedError
		_, err := Check(slices.Clone(b), test.lim)
		if !errors.As(err, &rejected) || !errors.Is(err, test.class) || !slices.Equal(rejected.Records, test.want) {
			t.Errorf("%+v: %v", test.lim, err)
		}
	}
	lies := change(b, maxTimestampAt, 0, 0, 0, 0, 0, 0, 0, 9)
	if sum, err := Check(lies, Limits{CheckTime: true, MaxTimestamp: 9000}); err != nil || sum.MaxTimestamp != 5000 || lies.MaxTimestamp() != 5000 || !lies.Intact() {
		t.Errorf("%+v, %v, header %d", sum, err, lies.MaxTimestamp())
	}
}
