package storage

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

// FuzzPowerCut appends, checkpoints, rolls and reopens as the seed says, then takes the power away at some
// moment. Invariants: the log opens again without complaint; every record that was acknowledged is there; what
// is there is what was appended, in order; and a second power cut right after opening changes nothing.
func FuzzPowerCut(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		luck := rand.New(rand.NewPCG(seed, 1))
		mem := vfs.NewMem()
		x := &fixture{t: t, fs: mem, config: DefaultLogConfig()}
		x.config.SegmentBytes = 13_000 + luck.IntN(40_000)
		x.config.IndexIntervalBytes = 100 + luck.IntN(2000)
		x.open()
		defer func() { x.dir.Crash() }()
		l := x.log()
		var want []string
		var acked atomic.Int64
		l.OnSynced(func(o record.Offset) { acked.Store(int64(o)) })
		seq := int32(0)
		for i := range 20 + luck.IntN(100) {
			pad := strings.Repeat("x", luck.IntN(3000)*luck.IntN(2))
			var b record.Builder
			b.Idempotent, b.ProducerID, b.BaseSequence = true, 1, seq
			for j := range 1 + luck.IntN(4) {
				v := fmt.Sprintf("%d/%d %s", i, j, pad)
				b.Add(int64(i), nil, []byte(v))
				want = append(want, v)
				seq++
			}
			built, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			if luck.IntN(3) == 0 {
				x.append(l, built)
			} else if _, err := l.Append(built, AppendOptions{LeaderEpoch: 0}); err != nil {
				t.Fatal(err)
			}
			switch luck.IntN(12) {
			case 0:
				if err := x.dir.Checkpoint(); err != nil {
					t.Fatal(err)
				}
			case 1:
				if luck.IntN(2) == 0 {
					x.dir.Crash()
				} else if err := x.dir.Close(); err != nil {
					t.Fatal(err)
				}
				x.open()
				l = x.log()
				if int(l.EndOffset()) != len(want) {
					t.Fatalf("kill -9 lost records: end %d, want %d", l.EndOffset(), len(want))
				}
				l.OnSynced(func(o record.Offset) { acked.Store(int64(o)) })
			}
		}
		promised := max(acked.Load(), int64(l.SyncedOffset()))
		cut := mem.PowerCut(luck)
		x.dir.Crash()
		x.fs = cut
		x.open()
		l = x.log()
		end := int64(l.EndOffset())
		if end < promised {
			t.Fatalf("end %d after the power cut, %d were acknowledged", end, promised)
		}
		check := func() {
			t.Helper()
			if got := values(t, l, 0, 10_000); !slices.Equal(got, want[:end]) {
				t.Fatalf("%d records differ from the %d that were appended", len(got), len(want))
			}
			if ps := l.Producers(); end > 0 && (len(ps) != 1 || int64(ps[0].LastSequence) != end-1) {
				t.Fatalf("producers %v, want sequence %d", ps, end-1)
			}
		}
		check()
		cut = cut.PowerCut(nil)
		x.dir.Crash()
		x.fs = cut
		x.open()
		l = x.log()
		if int64(l.EndOffset()) != end {
			t.Fatalf("end %d after the second power cut, %d had been shown", l.EndOffset(), end)
		}
		check()
	})
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
	ps := producers{}
	ps.add(mustBatch(f))
	f.Add(ps.encodeSnapshot())
	f.Add([]byte{0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		ps, err := decodeSnapshot(data)
		if err != nil {
			return
		}
		if _, err := decodeSnapshot(ps.encodeSnapshot()); err != nil {
			t.Fatal(err)
		}
	})
}

func mustBatch(t testing.TB) record.Batch { return batch(t, 1, 3, 5, producer1(2, 7)) }
