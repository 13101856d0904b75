package storage

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

func TestProducers_Sequences(t *testing.T) {
	t.Parallel()
	type step struct {
		epoch   int16
		seq     int32
		records int
		first   record.Offset // of a good append or of the duplicate it repeats
		dup     bool
		err     error
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"in order", []step{{0, 0, 3, 0, false, nil}, {0, 3, 1, 3, false, nil}}},
		{"gap", []step{{0, 0, 3, 0, false, nil}, {0, 4, 1, 0, false, ErrOutOfOrder}}},
		{"unknown producer may start anywhere", []step{{0, 17, 3, 0, false, nil}, {0, 20, 1, 3, false, nil}}},
		{"duplicate of the last five", []step{
			{0, 0, 1, 0, false, nil}, {0, 1, 2, 1, false, nil}, {0, 3, 1, 3, false, nil}, {0, 4, 1, 4, false, nil}, {0, 5, 1, 5, false, nil}, {0, 6, 1, 6, false, nil},
			{0, 1, 2, 1, true, nil}, {0, 6, 1, 6, true, nil}, {0, 0, 1, 0, false, ErrOutOfOrder}}},
		{"same sequence, other length", []step{{0, 0, 3, 0, false, nil}, {0, 0, 2, 0, false, ErrOutOfOrder}}},
		{"new epoch starts at 0", []step{{0, 0, 3, 0, false, nil}, {1, 3, 1, 0, false, ErrOutOfOrder}, {1, 0, 1, 3, false, nil}}},
		{"old epoch is fenced", []step{{1, 0, 3, 0, false, nil}, {0, 3, 1, 0, false, ErrProducerFenced}}},
		{"sequence wraps", []step{{0, 1<<31 - 2, 3, 0, false, nil}, {0, 1, 1, 3, false, nil}, {0, 1<<31 - 2, 3, 0, true, nil}}},
		{"wraps at the end of a batch", []step{{0, 1<<31 - 1, 1, 0, false, nil}, {0, 0, 1, 1, false, nil}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, reopen := range []string{"", "clean", "crash"} {
				f := newFixture(t, vfs.NewMem())
				l := f.log()
				for i, s := range test.steps {
					if reopen == "clean" && s.dup && i > 0 && test.steps[i-1].dup {
						continue // see rememberedBatches: after a clean restart the last one alone is known
					}
					info, err := l.Append(batch(t, i, s.records, 5, producer1(s.epoch, s.seq)), AppendOptions{})
					if reopen == "clean" && s.dup && errors.Is(err, ErrOutOfOrder) {
						continue
					}
					if !errors.Is(err, s.err) || (err == nil && (info.First != s.first || info.Duplicate != s.dup)) {
						t.Fatalf("%q step %d: %+v, %v", reopen, i, info, err)
					}
					if err == nil && info.Last != info.First+record.Offset(s.records)-1 {
						t.Fatalf("%q step %d: last %d", reopen, i, info.Last)
					}
					switch reopen {
					case "clean":
						if err := f.dir.Close(); err != nil {
							t.Fatal(err)
						}
						f.open()
						l = f.log()
					case "crash":
						f.dir.Crash()
						f.open()
						l = f.log()
					}
				}
			}
		})
	}
}

func TestProducers_SeveralBatchesInOneAppend(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	l := f.log()
	both := slices.Concat(batch(t, 1, 2, 5, producer1(0, 0)), batch(t, 2, 2, 5, producer1(0, 2)))
	if info, err := l.Append(both, AppendOptions{}); err != nil || info.Records != 4 {
		t.Fatalf("%+v, %v", info, err)
	}
	gap := slices.Concat(batch(t, 1, 2, 5, producer1(0, 4)), batch(t, 2, 2, 5, producer1(0, 7)))
	if _, err := l.Append(gap, AppendOptions{}); !errors.Is(err, ErrOutOfOrder) || l.EndOffset() != 4 {
		t.Fatalf("end %d, %v", l.EndOffset(), err)
	}
}

func TestLog_LogAppendTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	f.config.LogAppendTime = true
	l := f.log()
	now := epoch0.Add(time.Minute)
	info, err := l.Append(batch(t, 1, 2, 5, producer1(0, 0)), AppendOptions{Now: now})
	if err != nil || info.LogAppendTime != now.UnixMilli() {
		t.Fatalf("%+v, %v", info, err)
	}
	again, err := l.Append(batch(t, 1, 2, 5, producer1(0, 0)), AppendOptions{Now: now.Add(time.Hour)})
	if err != nil || !again.Duplicate || again.LogAppendTime != now.UnixMilli() {
		t.Errorf("a duplicate has the time of the first: %+v, %v", again, err)
	}
	err = l.Replay(0, func(b record.Batch) error {
		if !b.LogAppendTime() || b.MaxTimestamp() != now.UnixMilli() || !b.Intact() {
			t.Errorf("attributes %b, timestamp %d, intact %t", b.Attributes(), b.MaxTimestamp(), b.Intact())
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestLog_Refuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	f.config.MaxMessageBytes, f.config.SegmentBytes, f.config.Compact = 1000, 900, true
	f.config.TimestampBeforeMaxMs = time.Hour.Milliseconds()
	l := f.log()
	now := epoch0.UnixMilli()
	moved := batch(t, 1, 1, now)
	moved.SetBaseOffset(5)
	var b record.Builder
	b.Add(now, nil, []byte("no key"))
	keyless, _ := b.Build()
	for name, test := range map[string]struct {
		batches []byte
		want    error
	}{
		"base offset":   {moved, record.ErrInvalid},
		"control batch": {batch(t, 1, 1, now, func(b *record.Builder) { b.Control = true }), record.ErrInvalid},
		"no key":        {keyless, record.ErrInvalid},
		"too large":     {batch(t, 1, 50, now), record.ErrTooLarge},
		"segment":       {slices.Concat(batch(t, 1, 20, now), batch(t, 1, 20, now)), ErrListTooLarge},
		"in the future": {batch(t, 1, 1, now+2*time.Hour.Milliseconds()), record.ErrTimestamp},
		"long ago":      {batch(t, 1, 1, now-2*time.Hour.Milliseconds()), record.ErrTimestamp},
		"bad checksum":  {append(batch(t, 1, 1, now)[:70], 0, 0), record.ErrCorrupt},
		"nothing":       {nil, record.ErrInvalid},
		"half":          {batch(t, 1, 1, now)[:30], record.ErrCorrupt},
	} {
		if _, err := l.Append(test.batches, AppendOptions{}); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if l.EndOffset() != 0 || l.Size() != 0 {
		t.Errorf("something was appended: end %d", l.EndOffset())
	}
	if err := l.AssignEpoch(4); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(batch(t, 1, 1, now), AppendOptions{LeaderEpoch: 3}); !errors.Is(err, ErrLeaderEpoch) {
		t.Errorf("older leader epoch: %v", err)
	}
}

func TestLog_Retention(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	f.config.SegmentBytes = 500
	l := f.log()
	for i := range 40 {
		f.append(l, batch(t, i, 1, epoch0.UnixMilli()+int64(i)*1000))
	}
	total := l.Segments()
	retain := func(now time.Time, change func(*LogConfig)) int {
		t.Helper()
		c := l.Config()
		change(&c)
		l.SetConfig(c)
		n, err := l.Retain(now)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := retain(epoch0, func(*LogConfig) {}); n != 0 {
		t.Fatalf("%d removed that are young", n)
	}
	size := l.Size()
	n := retain(epoch0, func(c *LogConfig) { c.RetentionBytes = 2000 })
	if l.Size() < 2000 || l.Size() > 2500 || n == 0 || l.Segments() != total-n {
		t.Errorf("by size: %d segments removed, %d of %d bytes left", n, l.Size(), size)
	}
	start := l.StartOffset()
	if start == 0 || l.segments[0].base != start {
		t.Errorf("log start %d", start)
	}
	// Records up to start+5 are older than 10 s then.
	now := epoch0.Add(time.Duration(start+6)*time.Second + 10*time.Second)
	retain(now, func(c *LogConfig) { c.RetentionBytes, c.RetentionMs = -1, 10_000 })
	if got := l.StartOffset(); got <= start || got > start+6 {
		t.Errorf("by time: log start %d, was %d", got, start)
	}
	if n := retain(now.Add(time.Hour), func(c *LogConfig) { c.Delete, c.Compact = false, true }); n != 0 {
		t.Errorf("%d removed of a compacted log", n)
	}
	retain(now.Add(time.Hour), func(c *LogConfig) { c.Delete = true })
	if l.StartOffset() != 40 || l.EndOffset() != 40 || l.Segments() != 1 || l.Size() != 0 {
		t.Errorf("all old: start %d, end %d, %d segments, %d bytes", l.StartOffset(), l.EndOffset(), l.Segments(), l.Size())
	}
	if info := f.append(l, batch(t, 1, 1, 5)); info.First != 40 {
		t.Errorf("next offset is %d", info.First)
	}
	f.dir.Crash()
	f.open()
	if l = f.log(); l.StartOffset() != 40 || l.EndOffset() != 41 {
		t.Errorf("after a crash: start %d, end %d", l.StartOffset(), l.EndOffset())
	}
}

// Records without a timestamp are as old as their file; in memory every file is of 1970.
func TestLog_RetentionWithoutTimestamps(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	f.config.RetentionMs = time.Hour.Milliseconds()
	l := f.log()
	f.append(l, batch(t, 1, 1, record.NoTimestamp))
	for hours, want := range []record.Offset{0, 0, 1} {
		if _, err := l.Retain(time.Unix(0, 0).Add(time.Duration(hours) * time.Hour)); err != nil {
			t.Fatal(err)
		}
		if l.StartOffset() != want {
			t.Errorf("after %d h: log start %d, want %d", hours, l.StartOffset(), want)
		}
	}
}

func TestLog_DeleteBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	f.config.SegmentBytes = 500
	l := f.log()
	for i := range 20 {
		f.append(l, batch(t, i, 2, epoch0.UnixMilli()+int64(i)))
	}
	if start, err := l.DeleteBefore(15); err != nil || start != 15 {
		t.Fatalf("%d, %v", start, err)
	}
	if start, err := l.DeleteBefore(3); err != nil || start != 15 {
		t.Errorf("backwards: %d, %v", start, err)
	}
	var r *OffsetRangeError
	if _, err := l.DeleteBefore(41); !errors.As(err, &r) {
		t.Errorf("beyond the end: %v", err)
	}
	if _, err := l.Read(14, 100, 40, true); !errors.As(err, &r) || r.Start != 15 {
		t.Errorf("read below the start: %v", err)
	}
	if got := values(t, l, 15, 100); len(got) != 25 || got[0] != "value 1 of batch 7" {
		t.Errorf("%d values, first %q", len(got), got[0])
	}
	at, err := l.OffsetForTime(0)
	if err != nil || at.Offset != 15 {
		t.Errorf("first by time: %+v, %v", at, err)
	}
	f.dir.Crash()
	f.open()
	if l = f.log(); l.StartOffset() != 15 || l.EndOffset() != 40 {
		t.Errorf("after a crash: start %d, end %d", l.StartOffset(), l.EndOffset())
	}
	if _, err := l.DeleteBefore(40); err != nil || l.StartOffset() != 40 {
		t.Errorf("all: start %d, %v", l.StartOffset(), err)
	}
}

func TestLog_OffsetForTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	f.config.SegmentBytes, f.config.IndexIntervalBytes = 2000, 200
	l := f.log()
	if at, err := l.OffsetForTime(0); err != nil || at.Offset != -1 {
		t.Errorf("empty log: %+v, %v", at, err)
	}
	if at, err := l.OffsetForMaxTime(); err != nil || at.Offset != -1 {
		t.Errorf("empty log: %+v, %v", at, err)
	}
	base := epoch0.UnixMilli()
	codecs := []record.Compression{record.None, record.Gzip, record.Snappy, record.LZ4, record.Zstd}
	var times []int64
	for i := range 100 {
		b := record.Builder{Compression: codecs[i%5]}
		for j := range 3 {
			ms := base + int64(i*100+j*10)
			if i == 50 && j == 1 {
				ms = base + 1_000_000 // the largest of all, in the middle
			}
			b.Add(ms, nil, []byte("some value to fill the log with"))
			times = append(times, ms)
		}
		built, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(built, AppendOptions{LeaderEpoch: record.Epoch(i / 50)}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		for _, ms := range []int64{0, base, base + 1, base + 10, base + 11, base + 21, base + 2500, base + 4999, base + 5001, base + 9999, base + 1_000_000, base + 1_000_001} {
			want := slices.IndexFunc(times, func(t int64) bool { return t >= ms })
			at, err := l.OffsetForTime(ms)
			if err != nil || int(at.Offset) != want {
				t.Errorf("%d ms: %+v, want offset %d, %v", ms-base, at, want, err)
			}
			if want >= 0 && (at.Timestamp != times[want] || int(at.LeaderEpoch) != want/150) {
				t.Errorf("%d ms: %+v", ms-base, at)
			}
		}
		at, err := l.OffsetForMaxTime()
		if err != nil || at.Offset != 151 || at.Timestamp != base+1_000_000 {
			t.Errorf("max: %+v, %v", at, err)
		}
		f.dir.Crash()
		f.open()
		l = f.log()
	}
}

func TestLog_Epochs(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	l := f.log()
	if e, o := l.EpochEnd(0); e != -1 || o != -1 || l.LatestEpoch() != -1 {
		t.Errorf("empty: %d, %d", e, o)
	}
	for i, e := range []record.Epoch{2, 2, 5, 7, 7} {
		if _, err := l.Append(batch(t, i, 10, 1), AppendOptions{LeaderEpoch: e}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		for _, test := range []struct{ ask, epoch, end int }{{-1, -1, -1}, {1, 1, 0}, {2, 2, 20}, {3, 2, 20}, {5, 5, 30}, {6, 5, 30}, {7, 7, 50}, {8, -1, -1}} {
			if e, o := l.EpochEnd(record.Epoch(test.ask)); int(e) != test.epoch || int(o) != test.end {
				t.Errorf("end of epoch %d: %d at %d, want %d at %d", test.ask, e, o, test.epoch, test.end)
			}
		}
		for o, want := range map[record.Offset]record.Epoch{0: 2, 19: 2, 20: 5, 29: 5, 30: 7, 49: 7} {
			if got := l.EpochAt(o); got != want {
				t.Errorf("epoch at %d: %d, want %d", o, got, want)
			}
		}
		f.dir.Crash()
		f.open()
		l = f.log()
	}
	if _, err := l.DeleteBefore(25); err != nil {
		t.Fatal(err)
	}
	if e, o := l.EpochEnd(2); e != 2 || o != 25 {
		t.Errorf("epoch below the start: %d at %d", e, o)
	}
}

func TestLog_RollsBySegmentMs(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	f.config.SegmentMs = 1000
	l := f.log()
	for _, ms := range []int64{0, 1000, 1001, 1500, 2002} {
		f.append(l, batch(t, 1, 1, epoch0.UnixMilli()+ms))
	}
	if l.Segments() != 3 {
		t.Errorf("%d segments, want 3", l.Segments())
	}
}

func TestLog_PageCacheMode(t *testing.T) {
	t.Parallel()
	r := &tracer{}
	mem := vfs.NewMem()
	f := newFixture(t, vfs.Wrap(mem, r.hook))
	f.config.FlushMessages = 10
	l := f.log()
	told := make(chan record.Offset, 100)
	l.OnSynced(func(o record.Offset) { told <- o })
	info, err := l.Append(batch(t, 1, 3, 1), AppendOptions{})
	if err != nil || l.SyncedOffset() != 3 || l.FlushedOffset() != 0 {
		t.Fatalf("%+v, synced %d, flushed %d, %v", info, l.SyncedOffset(), l.FlushedOffset(), err)
	}
	for o := range told {
		if o == 3 {
			break
		}
	}
	if slices.Contains(r.lines, "  sync /data/orders-0/00000000000000000000.log") {
		t.Error("synced too early")
	}
	f.append(l, batch(t, 1, 8, 1))
	if err := l.wait(context.Background(), l.FlushedOffset, 11); err != nil {
		t.Fatal(err)
	}
	// Switched back, acknowledged means on disk again.
	c := l.Config()
	c.FlushMessages = 1
	l.SetConfig(c)
	f.append(l, batch(t, 1, 1, 1))
	if l.FlushedOffset() != 12 {
		t.Errorf("flushed %d", l.FlushedOffset())
	}
}

func TestPartition_Parse(t *testing.T) {
	t.Parallel()
	for folder, want := range map[string]Partition{"orders-0": {"orders", 0}, "a-b.c-12": {"a-b.c", 12}, "__consumer_offsets-49": {"__consumer_offsets", 49}} {
		got, err := ParsePartition(folder)
		if err != nil || got != want || got.String() != folder {
			t.Errorf("%s: %v, %v", folder, got, err)
		}
	}
	for _, bad := range []string{"", "orders", "-1", "orders-", "orders--1x", "orders-+1", "orders-99999999999", "orders-0.abc-delete"} {
		if p, err := ParsePartition(bad); err == nil {
			t.Errorf("%q is read as %v", bad, p)
		}
	}
}
