package storage

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

// txnBatch is a batch of a producer's transaction.
func txnBatch(t testing.TB, id int64, epoch int16, seq int32, n int) record.Batch {
	t.Helper()
	return batch(t, int(seq), n, epoch0.UnixMilli(), func(b *record.Builder) {
		b.Idempotent, b.Transactional = true, true
		b.ProducerID, b.ProducerEpoch, b.BaseSequence = id, epoch, seq
	})
}

func endTxn(id int64, epoch int16, commit bool) record.Batch {
	return record.EndTxn(id, epoch, epoch0.UnixMilli(), record.Marker{Commit: commit})
}

// sendTxn appends a batch of a transaction as the server does: the coordinator is asked for the first one.
func (f *fixture) sendTxn(l *Log, id int64, epoch int16, seq int32, n int) (AppendInfo, error) {
	f.t.Helper()
	guard, err := l.BeginVerify(id, epoch, seq, true)
	if err != nil {
		return AppendInfo{}, err
	}
	info, err := l.Append(txnBatch(f.t, id, epoch, seq, n), AppendOptions{Guard: guard})
	if err == nil {
		f.settle(l, info)
	}
	return info, err
}

func (f *fixture) mark(l *Log, id int64, epoch int16, commit bool) (AppendInfo, error) {
	f.t.Helper()
	info, err := l.Append(endTxn(id, epoch, commit), AppendOptions{Origin: FromCoordinator, TxnVersion: 2})
	if err == nil {
		f.settle(l, info)
	}
	return info, err
}

// settle waits for the disk and moves the high watermark, as package replica does.
func (f *fixture) settle(l *Log, info AppendInfo) {
	f.t.Helper()
	if err := l.WaitSynced(context.Background(), info.Last+1); err != nil {
		f.t.Fatal(err)
	}
	l.SetHighWatermark(l.SyncedOffset())
}

func lso(l *Log) record.Offset { return l.LastStableOffset(l.HighWatermark()) }

func must[T any](t testing.TB) func(v T, err error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// The last stable offset is the start of the oldest transaction that is not decided.
func TestTransactions_LastStableOffset(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	l := f.log()
	ok := must[AppendInfo](t)
	want := func(what string, o record.Offset) {
		t.Helper()
		if got := lso(l); got != o {
			t.Fatalf("%s: last stable offset %d, want %d", what, got, o)
		}
	}
	want("empty", 0)
	f.append(l, batch(t, 0, 2, 0))
	l.SetHighWatermark(2)
	want("records outside of transactions", 2)
	ok(f.sendTxn(l, 10, 0, 0, 3)) // 2-4
	want("10 is open", 2)
	ok(f.sendTxn(l, 11, 0, 0, 1)) // 5
	f.append(l, batch(t, 1, 1, 0))
	l.SetHighWatermark(7)
	ok(f.sendTxn(l, 10, 0, 3, 1)) // 7
	ok(f.mark(l, 10, 1, true))    // 8
	want("10 is committed, 11 is open", 5)
	ok(f.mark(l, 11, 1, false)) // 9
	want("all decided", 10)
	ok(f.mark(l, 12, 0, false)) // a marker for nothing
	want("a marker for nothing", 11)
	aborted := must[[]AbortedTxn](t)(l.AbortedTxns(0, 100))
	if !slices.Equal(aborted, []AbortedTxn{{ProducerID: 11, First: 5, Last: 9, Stable: 10}}) {
		t.Errorf("aborted: %+v", aborted)
	}
}

// A marker that may still be lost decides nothing: what was open stays unstable until the high
// watermark has passed the marker.
func TestTransactions_MarkerAboveTheWatermark(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	l := f.log()
	must[AppendInfo](t)(f.sendTxn(l, 10, 0, 0, 3))
	must[AppendInfo](t)(l.Append(endTxn(10, 1, true), AppendOptions{Origin: FromCoordinator, TxnVersion: 2}))
	if got := lso(l); got != 0 {
		t.Errorf("last stable offset %d before the marker is safe", got)
	}
	f.settle(l, AppendInfo{Last: 3})
	if got := lso(l); got != 4 {
		t.Errorf("last stable offset %d after it", got)
	}
}

func TestTransactions_Refused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	l := f.log()
	ok := must[AppendInfo](t)
	refused := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	_, err := l.Append(txnBatch(t, 10, 0, 0, 1), AppendOptions{})
	refused("nobody asked the coordinator", err, ErrTxnState)
	_, err = l.Append(txnBatch(t, 10, 0, 0, 1), AppendOptions{Guard: 77})
	refused("a guard of our own", err, ErrTxnState)
	ok(f.sendTxn(l, 10, 0, 0, 1))
	end := l.EndOffset()

	_, err = l.Append(batch(t, 1, 1, 0, func(b *record.Builder) {
		b.Idempotent, b.ProducerID, b.BaseSequence = true, 10, 1
	}), AppendOptions{})
	refused("outside of the open transaction", err, ErrTxnState)
	_, err = f.sendTxn(l, 10, 0, 5, 1)
	refused("a gap", err, ErrOutOfOrder)
	_, err = l.Append(endTxn(10, 1, true), AppendOptions{})
	refused("a client's marker", err, record.ErrInvalid)
	_, err = f.mark(l, 10, 0, true)
	refused("a marker of version 2 with the epoch of the records", err, ErrProducerFenced)
	if l.EndOffset() != end {
		t.Fatalf("something was appended")
	}
	ok(f.mark(l, 10, 1, true))
	ok(f.mark(l, 10, 1, true)) // the coordinator repeats itself after a crash
	_, err = f.mark(l, 10, 0, false)
	refused("an older marker", err, ErrProducerFenced)
	_, err = f.sendTxn(l, 10, 0, 1, 1)
	refused("a late batch of the transaction that has ended", err, ErrProducerFenced)
	_, err = f.sendTxn(l, 10, 1, 3, 1)
	refused("the next transaction begins at 0", err, ErrOutOfOrder)
	_, err = f.sendTxn(l, 20, 0, 3, 1)
	refused("a new producer begins at 0", err, ErrOutOfOrder)
	ok(f.sendTxn(l, 10, 1, 0, 1))

	later := record.EndTxn(30, 0, 0, record.Marker{CoordinatorEpoch: 5})
	ok(l.Append(later, AppendOptions{Origin: FromCoordinator}))
	earlier := record.EndTxn(30, 0, 0, record.Marker{CoordinatorEpoch: 4})
	_, err = l.Append(earlier, AppendOptions{Origin: FromCoordinator})
	refused("a marker of an earlier coordinator", err, ErrCoordinatorFenced)
}

// A duplicate is answered as the first time, and asks nobody.
func TestTransactions_Duplicate(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	l := f.log()
	first := must[AppendInfo](t)(f.sendTxn(l, 10, 0, 0, 3))
	again, err := l.Append(txnBatch(t, 10, 0, 0, 3), AppendOptions{})
	if err != nil || !again.Duplicate || again.First != first.First {
		t.Errorf("%+v, %v", again, err)
	}
}

// The coordinator's answer comes after the transaction was aborted: it opens nothing (KIP-890).
func TestVerify_LateAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	l := f.log()
	guard := must[Guard](t)(l.BeginVerify(10, 0, 0, false))
	if _, err := l.Append(endTxn(10, 0, false), AppendOptions{Origin: FromCoordinator}); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Append(txnBatch(t, 10, 0, 0, 1), AppendOptions{Guard: guard}); !errors.Is(err, ErrTxnState) {
		t.Errorf("%v", err)
	}
	next := must[Guard](t)(l.BeginVerify(10, 0, 0, false))
	if next == guard {
		t.Error("the guard of the next transaction is that of the last")
	}
	if _, err := l.Append(txnBatch(t, 10, 0, 0, 1), AppendOptions{Guard: guard}); !errors.Is(err, ErrTxnState) {
		t.Errorf("with the old guard: %v", err)
	}
}

// A batch does not overtake the one before it, whose question to the coordinator failed.
func TestVerify_NoOvertaking(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	l := f.log()
	guard := must[Guard](t)(l.BeginVerify(10, 0, 0, false))
	second := must[Guard](t)(l.BeginVerify(10, 0, 2, false))
	if _, err := l.Append(txnBatch(t, 10, 0, 2, 1), AppendOptions{Guard: second}); !errors.Is(err, ErrOutOfOrder) {
		t.Errorf("the second batch first: %v", err)
	}
	if _, err := l.Append(txnBatch(t, 10, 0, 0, 2), AppendOptions{Guard: guard}); err != nil {
		t.Error(err)
	}
	l.DropVerify(10, guard)
	if g := must[Guard](t)(l.BeginVerify(10, 0, 3, false)); g != 0 {
		t.Errorf("guard %d for a transaction that is open", g)
	}
}

// txnModel is what a log with transactions should know, kept beside it.
type txnModel struct {
	next    map[int64]int32 // sequence
	epoch   map[int64]int16
	open    map[int64]record.Offset
	aborted []AbortedTxn // Stable is not compared
}

func (m *txnModel) check(t *testing.T, l *Log, luck *rand.Rand) {
	t.Helper()
	want := l.EndOffset()
	for _, first := range m.open {
		want = min(want, first)
	}
	l.SetHighWatermark(l.EndOffset())
	if got := lso(l); got != max(want, l.StartOffset()) {
		t.Fatalf("last stable offset %d, want %d; open are %v", got, want, m.open)
	}
	for range 5 {
		from := record.Offset(luck.Int64N(int64(l.EndOffset()) + 1))
		to := from + record.Offset(luck.Int64N(int64(l.EndOffset()-from)+1))
		got := must[[]AbortedTxn](t)(l.AbortedTxns(from, to))
		for i := range got {
			got[i].Stable = 0
		}
		want := slices.DeleteFunc(slices.Clone(m.aborted), func(a AbortedTxn) bool { return a.Last < from || a.First >= to })
		// A marker may follow the range: the reader has no use for it, and it does no harm.
		if !slices.Equal(got, want) {
			t.Fatalf("aborted in [%d, %d): %v, want %v", from, to, got, want)
		}
	}
	for _, p := range l.Producers() {
		first, open := m.open[p.ID]
		if open != (p.TxnFirst >= 0) || open && p.TxnFirst != first || p.Epoch != m.epoch[p.ID] {
			t.Fatalf("producer %+v, want epoch %d, open %t at %d", p, m.epoch[p.ID], open, first)
		}
	}
}

// Transactions of several producers, with rolls, checkpoints, retention, clean stops, kill -9 and power cuts in
// between: the last stable offset, the aborted transactions and the producers are those of the model.
func TestTransactions_Model(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			luck := rand.New(rand.NewPCG(seed, 2))
			mem := vfs.NewMem()
			f := &fixture{t: t, fs: mem, config: DefaultLogConfig()}
			f.config.SegmentBytes, f.config.IndexIntervalBytes, f.config.RetentionMs = 1500, 200, -1
			f.open()
			defer func() { f.dir.Crash() }()
			l := f.log()
			m := &txnModel{next: map[int64]int32{}, epoch: map[int64]int16{}, open: map[int64]record.Offset{}}
			for range 150 {
				id := int64(luck.IntN(6))
				switch what := luck.IntN(20); {
				case what < 9:
					info, err := f.sendTxn(l, id, m.epoch[id], m.next[id], 1+luck.IntN(3))
					if err != nil {
						t.Fatal(err)
					}
					m.next[id] += int32(info.Records)
					if _, open := m.open[id]; !open {
						m.open[id] = info.First
					}
				case what < 14:
					commit := luck.IntN(2) == 0
					m.epoch[id]++
					info, err := f.mark(l, id, m.epoch[id], commit)
					if err != nil {
						t.Fatal(err)
					}
					m.next[id] = 0
					if first, open := m.open[id]; open && !commit {
						m.aborted = append(m.aborted, AbortedTxn{ProducerID: id, First: first, Last: info.First})
					}
					delete(m.open, id)
				case what < 15:
					f.append(l, batch(t, 1, 1, epoch0.UnixMilli()))
				case what < 16:
					if err := f.dir.Checkpoint(); err != nil {
						t.Fatal(err)
					}
				default:
					switch luck.IntN(4) {
					case 0:
						if err := f.dir.Close(); err != nil {
							t.Fatal(err)
						}
					case 1, 2:
						f.dir.Crash()
					case 3:
						cut := mem.PowerCut(luck)
						f.dir.Crash()
						mem = cut
						f.fs = mem
					}
					f.open()
					l = f.log()
				}
				m.check(t, l, luck)
			}
		})
	}
}

// What DeleteRecords takes away of an open transaction does not keep readers back below the log's start,
// and the marker still finds its transaction.
func TestTransactions_DeleteRecords(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"", "clean", "crash"} {
		f := newFixture(t, vfs.NewMem())
		f.config.SegmentBytes = 600
		l := f.log()
		for i := range 12 {
			must[AppendInfo](t)(f.sendTxn(l, 10, 0, int32(i*2), 2))
		}
		must[record.Offset](t)(l.DeleteBefore(9))
		switch how {
		case "clean":
			if err := f.dir.Close(); err != nil {
				t.Fatal(err)
			}
			f.open()
		case "crash":
			f.dir.Crash()
			f.open()
		}
		l = f.log()
		l.SetHighWatermark(24)
		if got := lso(l); got < 9 || got > 10 {
			t.Errorf("%q: last stable offset %d", how, got)
		}
		must[AppendInfo](t)(f.mark(l, 10, 1, false))
		if got := lso(l); got != 25 {
			t.Errorf("%q: last stable offset %d after the marker", how, got)
		}
		if a := must[[]AbortedTxn](t)(l.AbortedTxns(9, 25)); len(a) != 1 || a[0].First > 10 || a[0].Last != 24 {
			t.Errorf("%q: aborted %+v", how, a)
		}
	}
}

// The index of aborted transactions goes with its segment, and a damaged one is made again.
func TestTransactions_IndexFiles(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	f.config.SegmentBytes = 600
	l := f.log()
	for i := range 10 {
		must[AppendInfo](t)(f.sendTxn(l, 10, int16(i), 0, 2))
		must[AppendInfo](t)(f.mark(l, 10, int16(i+1), i%2 == 0))
	}
	want := must[[]AbortedTxn](t)(l.AbortedTxns(0, 100))
	if len(want) != 5 || len(l.segments) < 3 {
		t.Fatalf("%d aborted in %d segments", len(want), len(l.segments))
	}
	if err := f.dir.Close(); err != nil {
		t.Fatal(err)
	}
	indexes := func() (names []string) {
		for _, e := range must[[]string](t)(names0(f.fs)) {
			if filepath.Ext(e) == txnIndexSuffix {
				names = append(names, e)
			}
		}
		return names
	}
	if n := len(indexes()); n == 0 || n > len(l.segments) {
		t.Errorf("%d index files", n)
	}
	damage(t, f.fs, filepath.Join("/data", orders.String(), indexes()[0]), func(b []byte) []byte { return b[:len(b)-3] })
	f.open()
	l = f.log()
	if got := must[[]AbortedTxn](t)(l.AbortedTxns(0, 100)); !slices.Equal(got, want) {
		t.Errorf("after damage: %v, want %v", got, want)
	}
	must[record.Offset](t)(l.DeleteBefore(l.EndOffset()))
	if n := len(indexes()); n > 1 {
		t.Errorf("%d index files are left", n)
	}
}

func names0(fsys vfs.FS) (names []string, err error) {
	entries, err := fsys.ReadDir(filepath.Join("/data", orders.String()))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// Producers with an open transaction do not expire.
func TestProducers_OpenTransactionDoesNotExpire(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	l := f.log()
	must[AppendInfo](t)(f.sendTxn(l, 10, 0, 0, 1))
	must[AppendInfo](t)(f.sendTxn(l, 11, 0, 0, 1))
	must[AppendInfo](t)(f.mark(l, 11, 1, true))
	must[int](t)(l.Retain(epoch0.Add(48 * 60 * 60 * 1e9)))
	ids := slices.Sorted(maps.Keys(l.producers))
	if !slices.Equal(ids, []int64{10}) {
		t.Errorf("producers %v, want 10 alone", ids)
	}
}
