package sharestate

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/share"
	"millrace/broker/internal/statelog"
)

var noon = time.UnixMilli(1_700_000_000_000)

var orders = Key{Group: "g:with:colons", Topic: [16]byte{1, 2, 3}, Partition: 7}

// feed steps a machine, and returns the answers, and what is to be written.
func feed(t *testing.T, m *Machine, in Input) (answers map[Ref]Answer, write *Persist) {
	t.Helper()
	answers = map[Ref]Answer{}
	for _, e := range m.Step(noon, in) {
		switch e := e.(type) {
		case Reply:
			answers[e.Ref] = e.Answer
		case Persist:
			write = &e
		}
	}
	return answers, write
}

func TestKey_RoundTrip(t *testing.T) {
	t.Parallel()
	got, err := ParseKey(orders.String())
	if err != nil || got != orders {
		t.Errorf("%q reads %+v, %v", orders, got, err)
	}
	for _, bad := range []string{"", "g", "g:x", ":AQIDAAAAAAAAAAAAAAAAAA:0", "g:AQID:0", "g:AQIDAAAAAAAAAAAAAAAAAA:-1", "g:AQIDAAAAAAAAAAAAAAAAAA:x"} {
		if k, err := ParseKey(bad); err == nil {
			t.Errorf("%q reads %+v", bad, k)
		}
	}
}

// What comes in while a snapshot is on its way shares the next one; nothing is answered before it
// is durable.
func TestMachine_WritesShareASnapshot(t *testing.T) {
	t.Parallel()
	m := New(orders)
	_, first := feed(t, m, Initialize{Ref: 1, Start: 0})
	if first == nil || first.State.Start != 0 {
		t.Fatalf("initializing writes %+v", first)
	}
	for i := range Ref(2) {
		answers, write := feed(t, m, Write{Ref: 2 + i, Start: -1, Complete: -1, Batches: []share.Batch{{First: int64(i), Last: int64(i), State: share.Acknowledged, DeliveryCount: 1}}})
		if len(answers) > 0 || write != nil {
			t.Fatalf("write %d does not wait: %v %v", i, answers, write)
		}
	}
	answers, second := feed(t, m, Written{Seq: first.Seq})
	if _, ok := answers[1]; !ok || len(answers) != 1 || second == nil {
		t.Fatalf("after the first write: %v, %v", answers, second)
	}
	if second.State.Start != 2 || len(second.State.Batches) != 0 || second.State.SnapshotEpoch != 1 {
		t.Errorf("both acknowledgements make %+v, want start 2 and nothing after", second.State)
	}
	if answers, _ = feed(t, m, Written{Seq: second.Seq}); len(answers) != 2 {
		t.Errorf("answered: %v", answers)
	}
}

func TestMachine_FailedWriteChangesNothing(t *testing.T) {
	t.Parallel()
	m := Restore(orders, &State{Start: 5, Complete: 0})
	_, w := feed(t, m, Write{Ref: 1, Start: 9, Complete: -1})
	answers, _ := feed(t, m, Written{Seq: w.Seq, Err: kerr.NotCoordinator})
	if answers[1].Err != kerr.NotCoordinator {
		t.Errorf("answered %v", answers[1])
	}
	if answers, _ = feed(t, m, Summary{Ref: 2}); answers[2].State.Start != 5 {
		t.Errorf("start is %d, want 5 as before", answers[2].State.Start)
	}
}

func TestMachine_Fences(t *testing.T) {
	t.Parallel()
	m := Restore(orders, &State{Epoch: 2, LeaderEpoch: 5})
	for name, tt := range map[string]struct {
		in   Input
		want *kerr.Error
	}{
		"earlier leader writes": {Write{Ref: 1, Epoch: 2, LeaderEpoch: 4}, kerr.FencedLeaderEpoch},
		"earlier leader reads":  {Read{Ref: 1, LeaderEpoch: 4}, kerr.FencedLeaderEpoch},
		"earlier state":         {Write{Ref: 1, Epoch: 1, LeaderEpoch: 5}, kerr.FencedStateEpoch},
		"initialized earlier":   {Initialize{Ref: 1, Epoch: 1}, kerr.FencedStateEpoch},
	} {
		answers, write := feed(t, m, tt.in)
		if answers[1].Err != tt.want || write != nil {
			t.Errorf("%s: %v, want %v", name, answers[1].Err, tt.want)
		}
	}
	for _, in := range []Input{Write{Ref: 1}, Read{Ref: 1}} {
		if answers, _ := feed(t, New(orders), in); answers[1].Err != kerr.InvalidRequest {
			t.Errorf("%T of what was not initialized: %v", in, answers[1].Err)
		}
	}
}

// TestCombine_IsTheLastWord lays random batches over each other and asks for each offset who
// spoke last.
func TestCombine_IsTheLastWord(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		var state []share.Batch
		want := map[int64]share.Batch{}
		start := int64(0)
		for range 12 {
			var later []share.Batch
			at := int64(0)
			for range 1 + r.IntN(4) {
				at += int64(r.IntN(6))
				b := share.Batch{First: at, Last: at + int64(r.IntN(5)), State: []share.State{share.Available, share.Acknowledged, share.Archived}[r.IntN(3)], DeliveryCount: int16(r.IntN(3))}
				at = b.Last + 1
				later = append(later, b)
				for o := b.First; o <= b.Last; o++ {
					want[o] = b
				}
			}
			start += int64(r.IntN(3))
			state = Combine(state, later, start)
		}
		before := start - 1
		for i, b := range state {
			if b.First <= before || b.Last < b.First {
				t.Fatalf("seed %d: batch %d of %v", seed, i, state)
			}
			before = b.Last
			for o := b.First; o <= b.Last; o++ {
				if w := want[o]; w.State != b.State || w.DeliveryCount != b.DeliveryCount {
					t.Fatalf("seed %d: offset %d is %v, want %v", seed, o, b, w)
				}
				delete(want, o)
			}
		}
		for o := range want {
			if o >= start {
				t.Fatalf("seed %d: offset %d is lost in %v", seed, o, state)
			}
		}
	}
}

func load(t *testing.T, records ...statelog.Record) map[Key]*State {
	t.Helper()
	l := &loader{states: map[Key]*State{}}
	for _, r := range records {
		if err := l.add(r); err != nil {
			t.Fatal(err)
		}
	}
	return l.states
}

func TestCodec_RoundTrip(t *testing.T) {
	t.Parallel()
	for _, s := range []*State{
		{Start: Uninitialized, Complete: -1, Created: noon, Written: noon},
		{
			Epoch: 3, LeaderEpoch: 4, Start: 100, Complete: 7, SnapshotEpoch: 9, Created: noon, Written: noon,
			Batches: []share.Batch{{First: 100, Last: 104, State: share.Available, DeliveryCount: 2}, {First: 105, Last: 111, State: share.Archived, DeliveryCount: 5}},
		},
	} {
		got := load(t, encode(orders, s)...)[orders]
		if got == nil || got.Epoch != s.Epoch || got.LeaderEpoch != s.LeaderEpoch || got.Start != s.Start || got.Complete != s.Complete ||
			got.SnapshotEpoch != s.SnapshotEpoch || !slices.Equal(got.Batches, s.Batches) || !got.Written.Equal(s.Written) {
			t.Errorf("wrote %+v, read %+v", s, got)
		}
	}
	if got := load(t, append(encode(orders, &State{}), encode(orders, nil)...)...); len(got) != 0 {
		t.Errorf("after the tombstone there is %v", got)
	}
}

// FuzzLoad: what lies in the topic is refused or read, and does not break the broker.
func FuzzLoad(f *testing.F) {
	for _, r := range encode(orders, &State{Start: 3, Complete: 1, Batches: []share.Batch{{First: 3, Last: 9, State: share.Acknowledged, DeliveryCount: 1}}}) {
		f.Add(r.Key, r.Value)
	}
	f.Fuzz(func(_ *testing.T, key, value []byte) {
		l := &loader{states: map[Key]*State{}}
		_ = l.add(statelog.Record{Key: key, Value: value})
	})
}
