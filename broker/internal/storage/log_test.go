package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

var (
	orders  = Partition{"orders", 0}
	topicID = TopicID{1, 2, 3}
	epoch0  = time.UnixMilli(1_700_000_000_000)
)

// fixture is a data folder in memory with a clock that stands still.
type fixture struct {
	t      *testing.T
	fs     vfs.FS
	dir    *Dir
	config LogConfig
	events []Event
}

func testOptions() DirOptions {
	return DirOptions{
		ClusterID: "abcdefghijklmnopqrstuv", CheckpointInterval: -1, RetentionInterval: -1, Cleaner: CleanerOptions{Backoff: -1},
		Now: func() time.Time { return epoch0 },
	}
}

func newFixture(t *testing.T, fs vfs.FS) *fixture {
	t.Helper()
	f := &fixture{t: t, fs: fs, config: DefaultLogConfig()}
	f.open()
	t.Cleanup(func() { f.dir.Crash() })
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	o := testOptions()
	o.Event = func(e Event) { f.events = append(f.events, e) }
	d, err := OpenDir(f.fs, "/data", o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.dir = d
}

func (f *fixture) log() *Log {
	f.t.Helper()
	l, err := f.dir.OpenOrCreate(orders, topicID, f.config)
	if err != nil {
		f.t.Fatal(err)
	}
	return l
}

// batch has n records with the given timestamp and values that name seed.
func batch(t testing.TB, seed, n int, ms int64, change ...func(*record.Builder)) record.Batch {
	t.Helper()
	var b record.Builder
	for _, f := range change {
		f(&b)
	}
	for i := range n {
		b.Add(ms, fmt.Appendf(nil, "k%d", seed), fmt.Appendf(nil, "value %d of batch %d", i, seed))
	}
	out, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func producer1(epoch int16, seq int32) func(*record.Builder) {
	return func(b *record.Builder) {
		b.Idempotent, b.ProducerID, b.ProducerEpoch, b.BaseSequence = true, 1, epoch, seq
	}
}

func (f *fixture) append(l *Log, b record.Batch) AppendInfo {
	f.t.Helper()
	info, err := l.Append(slices.Clone(b), AppendOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	if err := l.WaitSynced(context.Background(), info.Last+1); err != nil {
		f.t.Fatal(err)
	}
	return info
}

// values reads all records of a log through Read, in steps of maxBytes.
func values(t testing.TB, l *Log, from record.Offset, maxBytes int) []string {
	t.Helper()
	var out []string
	for from < l.EndOffset() {
		span, err := l.Read(from, maxBytes, l.EndOffset(), true)
		if err != nil {
			t.Fatal(err)
		}
		if span.Len() == 0 {
			t.Fatalf("nothing at %d, end is %d", from, l.EndOffset())
		}
		rest := slices.Clone(span.Bytes())
		span.Release()
		for len(rest) > 0 {
			var b record.Batch
			if b, rest, err = record.Next(rest); err != nil {
				t.Fatal(err)
			}
			for r, err := range b.Records(1 << 20) {
				if err != nil {
					t.Fatal(err)
				}
				if r.Offset >= from {
					out = append(out, string(r.Value))
				}
			}
			from = b.NextOffset()
		}
	}
	return out
}

func TestLog_AppendAndRead(t *testing.T) {
	t.Parallel()
	for _, cache := range []int64{0, -1} {
		f := &fixture{t: t, fs: vfs.NewMem(), config: DefaultLogConfig()}
		o := testOptions()
		o.CacheBytes = cache
		var err error
		if f.dir, err = OpenDir(f.fs, "/data", o); err != nil {
			t.Fatal(err)
		}
		f.config.SegmentBytes = 4000
		l := f.log()
		var want []string
		for i := range 300 {
			n := i%5 + 1
			info := f.append(l, batch(t, i, n, epoch0.UnixMilli()+int64(i)))
			if info.First != record.Offset(len(want)) {
				t.Fatalf("batch %d went to %d, want %d", i, info.First, len(want))
			}
			for j := range n {
				want = append(want, fmt.Sprintf("value %d of batch %d", j, i))
			}
		}
		if l.Segments() < 5 {
			t.Errorf("%d segments", l.Segments())
		}
		for _, maxBytes := range []int{1, 200, 1000, 1 << 20} {
			for _, from := range []int{0, 1, 17, 500, len(want) - 1} {
				if got := values(t, l, record.Offset(from), maxBytes); !slices.Equal(got, want[from:]) {
					t.Fatalf("cache %d, max %d, from %d: %d values, want %d", cache, maxBytes, from, len(got), len(want)-from)
				}
			}
		}
		if err := f.dir.Close(); err != nil {
			t.Fatal(err)
		}
		f.open()
		if !f.dir.CleanStart() {
			t.Error("not a clean start")
		}
		l = f.log()
		if got := values(t, l, 0, 4096); !slices.Equal(got, want) {
			t.Fatalf("after reopening: %d values, want %d", len(got), len(want))
		}
		f.dir.Crash()
		f.open()
		if got := values(t, f.log(), 0, 4096); !slices.Equal(got, want) {
			t.Fatalf("after a crash: %d values, want %d", len(got), len(want))
		}
		if len(f.events) > 0 {
			t.Errorf("events: %v", f.events)
		}
		if err := f.dir.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLog_ReadRange(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	l := f.log()
	f.append(l, batch(t, 1, 10, 1))
	for _, o := range []record.Offset{-1, 11} {
		_, err := l.Read(o, 100, 100, true)
		var r *OffsetRangeError
		if !errors.As(err, &r) || r.Start != 0 || r.End != 10 {
			t.Errorf("read at %d: %v", o, err)
		}
	}
	if s, err := l.Read(10, 100, 100, true); err != nil || s.Len() != 0 {
		t.Errorf("read at the end: %d bytes, %v", s.Len(), err)
	}
	if s, err := l.Read(0, 10, 10, false); err != nil || s.Len() != 0 {
		t.Errorf("first batch larger than max: %d bytes, %v", s.Len(), err)
	}
	if s, err := l.Read(0, 1000, 9, true); err != nil || s.Len() != 0 {
		t.Errorf("batch reaches beyond the limit: %d bytes, %v", s.Len(), err)
	}
}
