package cleaner

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"millrace/broker/internal/record"
)

func TestPlan(t *testing.T) {
	t.Parallel()
	// Five segments of 100 offsets and 1000 bytes each, the last one is written to. Times are 100, 200 … 500.
	log := Log{Start: 0, End: 450, Stable: 450, Checkpoint: -1, MaxLag: math.MaxInt64}
	for i := range 5 {
		log.Segments = append(log.Segments, Segment{Base: record.Offset(i * 100), Size: 1000, First: int64(i*100 + 1), Largest: int64(i*100 + 100)})
	}
	for _, test := range []struct {
		name   string
		change func(*Log)
		want   Plan
		ratio  float64
	}{
		{"never cleaned", func(*Log) {}, Plan{Dirty: 0, Until: 400, CleanableBytes: 4000}, 1},
		{"cleaned up to the third", func(l *Log) { l.Checkpoint = 200 }, Plan{Dirty: 200, Until: 400, CleanBytes: 2000, CleanableBytes: 2000}, .5},
		{"cleaned within the third", func(l *Log) { l.Checkpoint = 250 }, Plan{Dirty: 250, Until: 400, CleanBytes: 3000, CleanableBytes: 2000}, .4},
		{"all clean but the active one", func(l *Log) { l.Checkpoint = 400 }, Plan{Dirty: 400, Until: 400, CleanBytes: 4000}, 0},
		{"an open transaction in the second", func(l *Log) { l.Stable = 150 }, Plan{Dirty: 0, Until: 100, CleanableBytes: 1000}, 1},
		{"min.compaction.lag.ms spares the young", func(l *Log) { l.MinLag = 650 }, Plan{Dirty: 0, Until: 300, CleanableBytes: 3000}, 1},
		{"max.compaction.lag.ms is over", func(l *Log) { l.Checkpoint, l.MaxLag = 200, 700 },
			Plan{Dirty: 200, Until: 400, CleanBytes: 2000, CleanableBytes: 2000, Now: true, Delay: 99}, .5},
		{"max.compaction.lag.ms is not over", func(l *Log) { l.Checkpoint, l.MaxLag = 200, 799 }, Plan{Dirty: 200, Until: 400, CleanBytes: 2000, CleanableBytes: 2000}, .5},
		{"records were deleted beyond the checkpoint", func(l *Log) { l.Checkpoint, l.Start = 100, 250 },
			Plan{Dirty: 250, Until: 400, CleanBytes: 3000, CleanableBytes: 2000, Reset: true}, .4},
		{"the checkpoint is of another life", func(l *Log) { l.Checkpoint = 451 }, Plan{Dirty: 0, Until: 400, CleanableBytes: 4000, Reset: true}, 1},
		{"one segment only", func(l *Log) { l.Segments = l.Segments[:1] }, Plan{}, 0},
	} {
		l := log
		test.change(&l)
		if got := l.Plan(1000); got != test.want || got.Ratio() != test.ratio {
			t.Errorf("%s: %+v ratio %v, want %+v ratio %v", test.name, got, got.Ratio(), test.want, test.ratio)
		}
	}
	if (Plan{CleanBytes: 1, CleanableBytes: 1}).Due(.5) || !(Plan{CleanBytes: 1, CleanableBytes: 1}).Due(.49) {
		t.Error("a log is due when its ratio is above the least one")
	}
	if !(Plan{CleanBytes: 100, CleanableBytes: 1, Now: true}).Due(.5) || (Plan{CleanBytes: 100, Now: true}).Due(.5) {
		t.Error("a log that has waited for too long is due when there is something to clean")
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	of := func(sizes ...int64) (out []Segment) {
		for i, s := range sizes {
			out = append(out, Segment{Base: record.Offset(i * 10), Size: s, Index: s / 100, TimeIndex: s / 50})
		}
		return out
	}
	far := []Segment{{Base: 0, Size: 1}, {Base: math.MaxInt32, Size: 1}, {Base: math.MaxInt32 + 10, Size: 1}}
	for _, test := range []struct {
		name         string
		segments     []Segment
		bytes, index int64
		until        record.Offset
		want         []int
	}{
		{"by size", of(500, 400, 200, 1000, 1, 1, 1), 1000, 1000, 70, []int{2, 1, 1, 3}},
		{"by index", of(500, 400, 200), 10_000, 20, 30, []int{2, 1}},
		{"larger than a segment may be", of(2000, 2000), 1000, 1000, 20, []int{1, 1}},
		{"offsets must fit an index", far, 1000, 1000, math.MaxInt32 + 20, []int{1, 2}},
		{"none", nil, 1, 1, 0, nil},
	} {
		if got := Groups(test.segments, test.bytes, test.index, test.until); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestOffsetMap(t *testing.T) {
	t.Parallel()
	m := NewOffsetMap(1000*SlotBytes, .9, 1<<40)
	n := 0
	for m.Put(fmt.Append(nil, "key ", n), record.Offset(n)) {
		n++
	}
	if n != 900 || m.Keys() != 900 || m.Latest() != 899 || m.Utilization() != .9 {
		t.Errorf("%d keys, latest %d, utilization %v", n, m.Latest(), m.Utilization())
	}
	for i := range n + 100 {
		want := record.Offset(i)
		if i >= n {
			want = -1
		}
		if got := m.Get(fmt.Append(nil, "key ", i)); got != want {
			t.Fatalf("key %d is at %d, want %d", i, got, want)
		}
	}
	small := NewOffsetMap(1<<40, .9, 3)
	if len(small.table) > 6*SlotBytes {
		t.Errorf("%d bytes for three records", len(small.table))
	}
	for range 5 { // one key again and again needs one slot
		if small.Put(nil, 7); small.Get([]byte{}) != 7 {
			t.Error("an empty key is a key")
		}
	}
	if tiny := NewOffsetMap(0, .9, 100); !tiny.Put([]byte("a"), 0) || tiny.Get([]byte("a")) != 0 || tiny.Get([]byte("b")) != -1 {
		t.Error("the smallest table has room for a key")
	}
}

func TestThrottle(t *testing.T) {
	t.Parallel()
	var h Throttle
	now := time.Unix(0, 0)
	if d := h.Take(now, 1<<30); d != 0 {
		t.Errorf("without a limit: wait %v", d)
	}
	h.SetRate(1000)
	for i, want := range []time.Duration{time.Second, 2 * time.Second} {
		if d := h.Take(now, 1000); d != want {
			t.Errorf("take %d: wait %v, want %v", i, d, want)
		}
	}
	if d := h.Take(now.Add(10*time.Second), 500); d != time.Second/2 {
		t.Errorf("after a rest: wait %v", d)
	}
	h.SetRate(math.MaxFloat64)
	if d := h.Take(now.Add(20*time.Second), 1<<30); d != 0 {
		t.Errorf("with Kafka's default: wait %v", d)
	}
}
