package storage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

// outage takes the power away before one of the operations on files, and keeps what was promised by then.
type outage struct {
	mu       sync.Mutex
	mem      *vfs.Mem
	luck     *rand.Rand
	left     int // operations until it happens
	log      atomic.Pointer[Log]
	promised int64
	after    *vfs.Mem
}

func (o *outage) hook(op vfs.Op) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.left--; o.left == 0 {
		o.happen()
	}
	if op.Kind == "sync" { // appends gather meanwhile
		slow := o.luck.IntN(30)
		o.mu.Unlock()
		for range slow {
			runtime.Gosched()
		}
		o.mu.Lock()
	}
	return nil
}

func (o *outage) happen() {
	if l := o.log.Load(); l != nil {
		o.promised = int64(l.SyncedOffset()) // before the cut is taken: it only grows
	}
	o.after = o.mem.PowerCut(o.luck)
}

// FuzzPowerCut appends, checkpoints, rolls, closes, crashes and reopens as the seed says; before some operation
// on files the power goes. Invariants: the log opens again without complaint; every record that was
// acknowledged is there; what is there is what was appended, in order, and is found by time; and a
// second power cut right after opening changes nothing.
func FuzzPowerCut(f *testing.F) {
	for seed := range uint64(150) {
		f.Add(seed)
	}
	f.Add(uint64(346)) // these two lost index entries once
	f.Add(uint64(397))
	f.Fuzz(func(t *testing.T, seed uint64) {
		luck := rand.New(rand.NewPCG(seed, 1))
		mem := vfs.NewMem()
		cut := &outage{mem: mem, luck: rand.New(rand.NewPCG(seed, 2)), left: 1 + luck.IntN(400)}
		x := &fixture{t: t, fs: vfs.Wrap(mem, cut.hook), config: DefaultLogConfig()}
		x.config.SegmentBytes = 13_000 + luck.IntN(30_000)
		x.config.IndexIntervalBytes = 100 + luck.IntN(2000)
		calm := luck.IntN(2) == 0 // neither checkpoints nor stops
		waits := 2 + luck.IntN(30)
		big := 1 + luck.IntN(3000)
		x.open()
		defer func() { x.dir.Crash() }()
		l := x.log()
		cut.log.Store(l)
		var want []string
		var times []int64
		for i := 0; cut.over() == nil; i++ {
			b := record.Builder{Idempotent: true, ProducerID: 1, BaseSequence: int32(len(want))}
			pad := strings.Repeat("x", luck.IntN(big)*luck.IntN(2))
			for j := range 1 + luck.IntN(4) {
				v := fmt.Sprintf("%d/%d %s", i, j, pad)
				b.Add(epoch0.UnixMilli()+int64(i), nil, []byte(v))
				want = append(want, v)
				times = append(times, epoch0.UnixMilli()+int64(i))
			}
			built, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			info, err := l.Append(built, AppendOptions{})
			if err == nil && luck.IntN(waits) == 0 {
				err = l.WaitSynced(t.Context(), info.Last+1)
			}
			if err != nil {
				t.Fatal(err)
			}
			switch luck.IntN(24) {
			case 0, 1:
				if !calm {
					err = x.dir.Checkpoint()
				}
			case 2:
				if luck.IntN(2) == 0 && !calm {
					err = x.dir.Close()
				}
				x.dir.Crash()
				x.open()
				l = x.log()
				cut.log.Store(l)
				if int(l.EndOffset()) != len(want) {
					t.Fatalf("kill -9 lost records: end %d, want %d", l.EndOffset(), len(want))
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		x.dir.Crash()
		after := cut.over()
		x.fs = after
		x.open()
		l = x.log()
		end := int64(l.EndOffset())
		if end < cut.promised {
			t.Fatalf("end %d after the power cut, %d were acknowledged", end, cut.promised)
		}
		check := func() {
			t.Helper()
			if got := values(t, l, 0, 10_000); !slices.Equal(got, want[:end]) {
				t.Fatalf("%d records differ from the %d that were appended", len(got), len(want))
			}
			if ps := l.Producers(); end > 0 && (len(ps) != 1 || int64(ps[0].LastSequence) != end-1) {
				t.Fatalf("producers %v, want sequence %d", ps, end-1)
			}
			for n := int64(0); n < end; n += 1 + end/10 {
				at, err := l.OffsetForTime(times[n])
				if first := slices.Index(times, times[n]); err != nil || int(at.Offset) != first {
					t.Fatalf("offset for time of %d: %+v, want %d, %v", n, at, first, err)
				}
			}
			if e, o := l.EpochEnd(0); end > 0 && (e != 0 || int64(o) != end) {
				t.Fatalf("epoch 0 ends at %d, %d", e, o)
			}
		}
		check()
		x.dir.Crash()
		x.fs = after.PowerCut(nil)
		x.open()
		l = x.log()
		if int64(l.EndOffset()) != end {
			t.Fatalf("end %d after the second power cut, %d had been shown", l.EndOffset(), end)
		}
		check()
	})
}

// over returns the file system after the outage, nil as long as there was none.
func (o *outage) over() *vfs.Mem {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.after
}

// FuzzRecovery damages files of a crashed log: a cut or a flipped bit anywhere in a segment or index. Invariants:
// opening never panics; either it reports corruption, or what the log then has is a beginning of what was appended that
// reaches up to the damage at least, and the log can be appended to.
func FuzzRecovery(f *testing.F) {
	for _, suffix := range []byte{0, 1, 2, 3} {
		f.Add(suffix, uint32(700), byte(0), true)
		f.Add(suffix, uint32(1234), byte(5), false)
		f.Add(suffix, uint32(17), byte(200), false)
	}
	f.Fuzz(func(t *testing.T, file byte, where uint32, flip byte, cut bool) {
		x, at := crashed(t, 40, func(c *LogConfig) { c.SegmentBytes = 100_000 })
		name := []string{logSuffix, offsetIndexSuffix, timeIndexSuffix, epochFile}[file%4]
		path := filepath.Join("/data", orders.String(), name)
		if name[0] == '.' {
			path = filepath.Join("/data", orders.String(), offsetName(0, name))
		}
		position := 0
		damage(t, x.fs, path, func(b []byte) []byte {
			if len(b) == 0 {
				return b
			}
			position = int(where) % len(b)
			if cut {
				return b[:position]
			}
			b[position] ^= flip
			return b
		})
		x.open()
		l, err := x.dir.OpenOrCreate(orders, topicID, x.config)
		if err != nil {
			if !errors.Is(err, ErrCorrupted) {
				t.Fatalf("%v", err)
			}
			return
		}
		intact := 40
		if name == logSuffix {
			for intact = 0; at[intact+1] <= int64(position); intact++ {
			}
		}
		if got := values(t, l, 0, 1000); len(got) < 2*intact || len(got)%2 != 0 || int(l.EndOffset()) != len(got) {
			t.Fatalf("%d records, %d batches lie before the damage", len(got), intact)
		}
		// Nothing covers the leader epoch of the last batch: a flip there can raise it.
		if _, err := l.Append(batch(t, 1, 1, 0), AppendOptions{LeaderEpoch: max(0, l.LatestEpoch())}); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzSnapshot: what decodes encodes to the same bytes, and nothing panics.
func FuzzSnapshot(f *testing.F) {
	ps := producers{
		1: {epoch: 2, batches: []sentBatch{sent(mustBatch(f))}, lastTimestamp: 5, coordinatorEpoch: -1, txnFirst: noTxn},
		2: {epoch: 3, lastTimestamp: 6, coordinatorEpoch: 4, txnFirst: 17},
	}
	f.Add(ps.encodeSnapshot())
	f.Add([]byte{0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		ps, err := decodeSnapshot(data)
		if err != nil {
			return
		}
		again, err := decodeSnapshot(ps.encodeSnapshot())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := again.list(), ps.list(); !slices.Equal(got, want) {
			t.Fatalf("%+v, was %+v", got, want)
		}
	})
}

func mustBatch(t testing.TB) record.Batch {
	t.Helper()
	return batch(t, 1, 3, 5, producer1(2, 7))
}
