package storage

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

// compacted is a fixture with a compacted log of small segments.
func compacted(t *testing.T, fs vfs.FS) *fixture {
	t.Helper()
	f := newFixture(t, fs)
	f.config.SegmentBytes, f.config.IndexIntervalBytes = 400, 100
	f.config.Delete, f.config.Compact, f.config.MinCleanableRatio = false, true, 0
	return f
}

// put appends one batch of a record for each pair; a value "-" is a tombstone.
func (f *fixture) put(l *Log, pairs ...string) AppendInfo {
	f.t.Helper()
	var b record.Builder
	for _, p := range pairs {
		key, value, _ := strings.Cut(p, "=")
		if value == "-" {
			b.Add(epoch0.UnixMilli(), []byte(key), nil)
		} else {
			b.Add(epoch0.UnixMilli(), []byte(key), []byte(value))
		}
	}
	batch, err := b.Build()
	if err != nil {
		f.t.Fatal(err)
	}
	info := f.append(l, batch)
	l.SetHighWatermark(l.SyncedOffset())
	return info
}

// clean runs the cleaner until there is nothing more to do.
func (f *fixture) clean() int {
	f.t.Helper()
	n := f.dir.Clean()
	if s := f.dir.CleanerStats(); s.Failures > 0 {
		f.t.Fatalf("%d failures: %v", s.Failures, f.events)
	}
	return n
}

// contents is what a reader of everything sees: "offset key=value".
func contents(t testing.TB, l *Log) (out []string) {
	t.Helper()
	next := l.StartOffset()
	err := l.Replay(next, func(b record.Batch) error {
		if b.BaseOffset() < next && next > l.StartOffset() {
			t.Errorf("batch at %d after one that ended at %d", b.BaseOffset(), next)
		}
		next = b.NextOffset()
		if b.Control() {
			return nil
		}
		for r, err := range b.Records(1 << 20) {
			if err != nil {
				return err
			}
			value := "-"
			if r.Value != nil {
				value = string(r.Value)
			}
			out = append(out, fmt.Sprintf("%d %s=%s", r.Offset, r.Key, value))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// latest is what is in force: the last value of each key.
func latest(contents []string) map[string]string {
	out := map[string]string{}
	for _, c := range contents {
		_, pair, _ := strings.Cut(c, " ")
		key, value, _ := strings.Cut(pair, "=")
		if out[key] = value; value == "-" {
			delete(out, key)
		}
	}
	return out
}

func TestClean_KeepsLatestOfEachKey(t *testing.T) {
	t.Parallel()
	f := compacted(t, vfs.NewMem())
	l := f.log()
	for i := range 60 {
		f.put(l, fmt.Sprintf("k%d=v%d", i%5, i), fmt.Sprintf("only%d=x", i/6))
	}
	before, size, end := contents(t, l), l.Size(), l.EndOffset()
	if n := f.clean(); n != 1 {
		t.Fatalf("%d runs", n)
	}
	after := contents(t, l)
	if !maps.Equal(latest(before), latest(after)) {
		t.Errorf("what is in force changed: %v", after)
	}
	active := l.segments[len(l.segments)-1].base
	count := map[string]int{}
	for _, c := range after {
		offset, pair, _ := strings.Cut(c, " ")
		key, _, _ := strings.Cut(pair, "=")
		var o record.Offset
		if _, err := fmt.Sscan(offset, &o); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(before, c) {
			t.Errorf("%s was not there before", c)
		}
		if o < active {
			count[key]++
		}
	}
	for key, n := range count {
		if n > 1 {
			t.Errorf("%d records of %s below the active segment", n, key)
		}
	}
	if l.Size() > size/2 || l.EndOffset() != end || l.StartOffset() != 0 {
		t.Errorf("%d bytes, had %d; end %d, had %d", l.Size(), size, l.EndOffset(), end)
	}
	if got := f.dir.cleanedUpTo(orders); got != active {
		t.Errorf("clean up to %d, the active segment begins at %d", got, active)
	}
	if n := f.clean(); n != 0 {
		t.Errorf("%d more runs", n)
	}
	// From any offset a reader gets the next record that there is.
	for from := range end {
		span, err := l.Read(from, 1, end, true)
		if err != nil || span.Len() == 0 || span.NextOffset() <= from {
			t.Fatalf("read from %d: %d bytes, %v", from, span.Len(), err)
		}
		span.Release()
	}
	for _, end := range []func(){func() { _ = f.dir.Close() }, func() { f.dir.Crash() }} {
		end()
		f.open()
		l = f.log()
		if got := contents(t, l); !slices.Equal(got, after) {
			t.Errorf("after opening again: %v", got)
		}
	}
}

// Segments that a run has made small become one in the next.
func TestClean_JoinsSmallSegments(t *testing.T) {
	t.Parallel()
	f := compacted(t, vfs.NewMem())
	l := f.log()
	for range 6 {
		for i := range 40 {
			f.put(l, fmt.Sprintf("k%d=v%d", i%3, i))
		}
		f.clean()
	}
	if l.Segments() > 15 { // each round begins eight
		t.Errorf("%d segments", l.Segments())
	}
	if got := latest(contents(t, l)); got["k0"] != "v39" || got["k1"] != "v37" || got["k2"] != "v38" {
		t.Errorf("left: %v", got)
	}
}

// The whole of what a reader of the tail had in the cache goes with what it was made of.
func TestClean_CacheHasNothingOld(t *testing.T) {
	t.Parallel()
	f := compacted(t, vfs.NewMem())
	l := f.log()
	for i := range 30 {
		f.put(l, fmt.Sprintf("k=v%d", i))
	}
	span, err := l.Read(0, 1<<20, l.EndOffset(), true)
	if err != nil {
		t.Fatal(err)
	}
	old := slices.Clone(span.Bytes())
	f.clean()
	if !slices.Equal(span.Bytes(), old) {
		t.Error("a span that was read before changed")
	}
	span.Release()
	if got := contents(t, l); len(got) > 6 {
		t.Errorf("%d records left: %v", len(got), got)
	}
	f.put(l, "k=new")
	if got := latest(contents(t, l)); got["k"] != "new" {
		t.Errorf("latest is %v", got)
	}
}

// A tombstone stays until the horizon that the first run sets has passed.
func TestClean_TombstoneHorizon(t *testing.T) {
	t.Parallel()
	now := epoch0
	f := compacted(t, vfs.NewMem())
	f.dir.options.Now = func() time.Time { return now }
	f.config.DeleteRetentionMs = 1000
	l := f.log()
	f.put(l, "a=1", "b=2")
	f.put(l, "a=-")
	roll := func() {
		for range 8 {
			f.put(l, "fill=x")
		}
	}
	roll()
	f.clean()
	if got := contents(t, l); !slices.Equal(got[:2], []string{"1 b=2", "2 a=-"}) {
		t.Fatalf("after the first run: %v", got)
	}
	horizon, set := int64(0), false
	_ = l.Replay(2, func(b record.Batch) error {
		if b.LastOffset() == 2 {
			horizon, set = b.DeleteHorizon()
		}
		return nil
	})
	if !set || horizon != epoch0.UnixMilli()+1000 {
		t.Errorf("horizon %d, %v", horizon, set)
	}
	now = epoch0.Add(999 * time.Millisecond)
	roll()
	f.clean()
	if got := contents(t, l); got[1] != "2 a=-" {
		t.Fatalf("before the horizon: %v", got)
	}
	now = epoch0.Add(time.Second)
	roll()
	f.clean()
	if got := contents(t, l); got[0] != "1 b=2" || strings.Contains(strings.Join(got, " "), "a=-") {
		t.Errorf("after the horizon: %v", got)
	}
}

// The table of keys has room for a few only: several runs get through.
func TestClean_SeveralRunsWhenKeysDoNotFit(t *testing.T) {
	t.Parallel()
	f := compacted(t, vfs.NewMem())
	f.dir.SetCleaner(CleanerOptions{Backoff: -1, DedupeBytes: 10 * 24, LoadFactor: 0.9})
	l := f.log()
	for i := range 80 {
		f.put(l, fmt.Sprintf("k%d=v%d", i%30, i))
	}
	before := latest(contents(t, l))
	if n := f.clean(); n < 4 {
		t.Errorf("%d runs", n)
	}
	after := contents(t, l)
	if !maps.Equal(latest(after), before) {
		t.Errorf("what is in force changed: %v", after)
	}
	if len(after) > 45 {
		t.Errorf("%d records left: %v", len(after), after)
	}
}

func TestClean_Transactions(t *testing.T) {
	t.Parallel()
	now := epoch0
	f := compacted(t, vfs.NewMem())
	f.dir.options.Now = func() time.Time { return now }
	f.config.DeleteRetentionMs = 1000
	l := f.log()
	settle := func() { l.SetHighWatermark(l.SyncedOffset()) }
	txn := func(id int64, epoch int16, commit bool) record.Offset {
		info, err := f.sendTxn(l, id, epoch, 0, 2)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.mark(l, id, epoch+1, commit); err != nil {
			t.Fatal(err)
		}
		if err := l.WaitSynced(context.Background(), l.EndOffset()); err != nil {
			t.Fatal(err)
		}
		settle()
		return info.First
	}
	roll := func() {
		for range 10 {
			f.put(l, "fill=x")
		}
	}
	txn(7, 0, false)
	txn(8, 0, true)
	roll()
	open, err := f.sendTxn(l, 9, 0, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	roll()
	f.clean()
	if got := f.dir.cleanedUpTo(orders); got > open.First {
		t.Errorf("clean up to %d, a transaction is open at %d", got, open.First)
	}
	batches := func() (out []string) {
		_ = l.Replay(0, func(b record.Batch) error {
			if b.Transactional() {
				out = append(out, fmt.Sprintf("%d-%d producer %d control %v count %d", b.BaseOffset(), b.LastOffset(), b.ProducerID(), b.Control(), b.Count()))
			}
			return nil
		})
		return out
	}
	if got := strings.Join(batches(), "; "); strings.Contains(got, "producer 7 control false") || !strings.Contains(got, "2-2 producer 7 control true count 1") ||
		!strings.Contains(got, "3-4 producer 8 control false") {
		t.Errorf("after the first run: %s", got)
	}
	aborted, err := l.AbortedTxns(0, l.EndOffset())
	if err != nil || len(aborted) != 1 || aborted[0].ProducerID != 7 {
		t.Errorf("aborted transactions: %v, %v", aborted, err)
	}
	if _, err := f.mark(l, 9, 1, true); err != nil {
		t.Fatal(err)
	}
	// Later transactions of the same producers let their last batches go.
	txn(7, 1, true)
	txn(8, 1, true)
	roll()
	f.clean() // sees that the data of 7 is gone: the horizon of its marker
	now = now.Add(2 * time.Second)
	roll()
	f.clean()
	roll()
	f.clean()
	if got := strings.Join(batches(), "; "); strings.Contains(got, "2-2 producer 7") {
		t.Errorf("the marker of nothing is there still: %s", got)
	}
	if aborted, err = l.AbortedTxns(0, l.EndOffset()); err != nil || len(aborted) != 0 {
		t.Errorf("aborted transactions: %v, %v", aborted, err)
	}
	// The sequence numbers survive, even when all is read anew.
	states := l.Producers()
	f.dir.Crash()
	f.open()
	l = f.log()
	if got := l.Producers(); fmt.Sprint(got) != fmt.Sprint(states) {
		t.Errorf("producers after a crash: %v, were %v", got, states)
	}
}

// The records of an idempotent producer are all superseded, and it goes on where it was, with nothing but the log to know from.
func TestClean_SequenceSurvives(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	f := compacted(t, mem)
	l := f.log()
	f.append(l, batch(t, 1, 3, epoch0.UnixMilli(), producer1(0, 0)))
	f.put(l, "k1=newer")
	for range 10 {
		f.put(l, "fill=x")
	}
	f.clean()
	if got := contents(t, l); got[0] != "3 k1=newer" {
		t.Errorf("left: %v", got)
	}
	f.dir.Crash()
	if err := vfs.RemoveAll(mem, filepath.Join("/data", recoveryPointFile)); err != nil && !strings.Contains(err.Error(), "not exist") {
		t.Fatal(err)
	}
	f.open()
	l = f.log()
	if info, err := l.Append(batch(t, 1, 3, epoch0.UnixMilli(), producer1(0, 0)), AppendOptions{}); err != nil || !info.Duplicate || info.First != 0 {
		t.Errorf("a repetition: %+v, %v", info, err)
	}
	if _, err := l.Append(batch(t, 1, 3, epoch0.UnixMilli(), producer1(0, 3)), AppendOptions{}); err != nil {
		t.Errorf("the next: %v", err)
	}
}

// Whatever operation on a file the power or the process goes with, what was in force is in force after the restart.
func TestClean_CrashAnywhere(t *testing.T) {
	t.Parallel()
	fill := func(f *fixture) *Log {
		l := f.log()
		for i := range 40 {
			f.put(l, fmt.Sprintf("k%d=v%d", i%4, i), fmt.Sprintf("d%d=-", i%3))
		}
		return l
	}
	calm := compacted(t, vfs.NewMem())
	want := latest(contents(t, fill(calm)))
	calm.clean()
	for _, luck := range []string{"kill", "power", "lucky power"} {
		for at := 0; ; at++ {
			mem := vfs.NewMem()
			count := -1
			var survivor *vfs.Mem
			random := rand.New(rand.NewPCG(1, uint64(at)))
			f := compacted(t, vfs.Wrap(mem, func(vfs.Op) error {
				if count < 0 {
					return nil
				}
				if count++; count == at+1 {
					switch luck {
					case "kill":
						survivor = mem
					case "power":
						survivor = mem.PowerCut(nil)
					default:
						survivor = mem.PowerCut(random)
					}
				}
				if survivor != nil {
					return fmt.Errorf("gone")
				}
				return nil
			}))
			fill(f)
			if err := f.dir.Checkpoint(); err != nil {
				t.Fatal(err)
			}
			count = 0
			f.dir.Clean()
			f.dir.Crash()
			if survivor == nil {
				if at < 15 {
					t.Errorf("a run has %d operations only", at)
				}
				break
			}
			again := compacted(t, survivor)
			l := again.log()
			if got := latest(contents(t, l)); !maps.Equal(got, want) {
				t.Fatalf("%s before operation %d: %v, want %v", luck, at, got, want)
			}
			again.clean()
			if got := latest(contents(t, l)); !maps.Equal(got, want) {
				t.Fatalf("%s before operation %d, cleaned again: %v, want %v", luck, at, got, want)
			}
			again.dir.Crash()
			again.open()
			entries, err := survivor.ReadDir(filepath.Join("/data", orders.String()))
			if err != nil {
				t.Fatal(err)
			}
			again.log()
			for _, e := range entries {
				if strings.HasSuffix(e.Name(), cleanedSuffix) || strings.HasSuffix(e.Name(), swapSuffix) {
					t.Errorf("%s before operation %d: %s is left", luck, at, e.Name())
				}
			}
			again.dir.Crash()
		}
	}
}

// Records are appended and read all the time while the cleaner runs, and the log is deleted in the middle of it.
func TestClean_Concurrent(t *testing.T) {
	t.Parallel()
	f := compacted(t, vfs.NewMem())
	l := f.log()
	f.put(l, "k0=first")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				f.dir.Clean()
			}
		}
	}()
	for i := 0; i < 400 || f.dir.CleanerStats().Runs < 3; i++ {
		f.put(l, fmt.Sprintf("k%d=v%d", i%7, i))
		if i%20 == 0 {
			if got := latest(contents(t, l)); got[fmt.Sprintf("k%d", i%7)] != fmt.Sprintf("v%d", i) {
				t.Fatalf("after %d: %v", i, got)
			}
		}
	}
	if _, err := l.DeleteBefore(300); err != nil {
		t.Fatal(err)
	}
	if err := f.dir.Delete(orders); err != nil {
		t.Fatal(err)
	}
	close(stop)
	<-done
	if s := f.dir.CleanerStats(); s.Failures > 0 || s.Runs == 0 {
		t.Errorf("%+v, %v", s, f.events)
	}
}

// A damaged batch is not given a new checksum: the log is left alone and counted.
func TestClean_DamageIsLeftAlone(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	f := compacted(t, mem)
	l := f.log()
	for i := range 20 {
		f.put(l, fmt.Sprintf("k=v%d", i))
	}
	file, err := l.segments[0].open()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte{0xff}, record.HeaderSize+2); err != nil {
		t.Fatal(err)
	}
	if n := f.dir.Clean(); n != 0 {
		t.Errorf("%d runs", n)
	}
	s := f.dir.CleanerStats()
	if s.Uncleanable != 1 || s.Failures != 1 || s.UncleanableBytes != l.Size() {
		t.Errorf("%+v", s)
	}
	if f.dir.Err() != nil {
		t.Errorf("folder is offline: %v", f.dir.Err())
	}
}

// With compact and delete, segments go by time too; a topic that was compacted once opens with its gaps.
func TestClean_WithRetention(t *testing.T) {
	t.Parallel()
	f := compacted(t, vfs.NewMem())
	l := f.log()
	for i := range 60 {
		f.put(l, fmt.Sprintf("k%d=v%d", i%2, i))
	}
	f.clean()
	f.dir.Crash()
	f.config.Compact, f.config.Delete = false, true
	f.open()
	l = f.log()
	if n, err := l.Retain(epoch0.Add(8 * 24 * time.Hour)); err != nil || n == 0 || l.StartOffset() != l.EndOffset() {
		t.Errorf("%d removed, start %d, end %d, %v", n, l.StartOffset(), l.EndOffset(), err)
	}
}
