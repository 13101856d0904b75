package share

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// TestSimulation lets members take records and say what became of them, at random and at
// times wrongly, while the disk is slow and fails, members fall silent, and the broker is killed.
// Whatever happens:
//
//   - a record is with one member at a time, and with none when it is done;
//   - a record that was accepted, and that the member was told so of, is not delivered again;
//   - no record is delivered more often than the limit allows, crashes and members that are gone apart;
//   - when all behave, every record is done in the end, and start is the end of the log.
func TestSimulation(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		w := &world{
			t: t, rand: rand.New(rand.NewPCG(seed, 932)), now: time.Unix(1_000_000_000, 0), accepted: map[int64]bool{},
			deliveries: map[int64]int{}, lost: map[int64]int{}, has: map[int64]string{}, asked: map[Ref][]Ack{},
			set: Settings{Lock: 5 * time.Second, DeliveryLimit: 3, MaxInFlight: 30, Renew: true},
		}
		w.p = New(w.set, 0)
		for range 2500 {
			w.step()
			if t.Failed() {
				break
			}
		}
		w.settle()
		if t.Failed() {
			t.Fatalf("seed %d:\n%s", seed, strings.Join(w.lines[max(0, len(w.lines)-40):], "\n"))
		}
	}
}

type world struct {
	t          *testing.T
	rand       *rand.Rand
	set        Settings
	p          *Partition
	now        time.Time
	log        []Span
	end        int64
	disk       kept
	writes     []Persist
	ref        Ref
	asked      map[Ref][]Ack
	accepted   map[int64]bool
	deliveries map[int64]int
	lost       map[int64]int    // deliveries that nobody counts: crashes, members gone
	has        map[int64]string // who has it, as the members know
	calm       bool
	lines      []string
}

func (w *world) logf(format string, args ...any) {
	w.lines = append(w.lines, w.now.Format("04:05.0 ")+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Errorf(format, args...)
	w.logf("FAIL "+format, args...)
}

func (w *world) step() {
	w.now = w.now.Add(100 * time.Millisecond)
	if len(w.writes) > 0 && w.rand.IntN(3) > 0 {
		w.flush()
	}
	if at := w.p.Deadline(); !at.IsZero() && !at.After(w.now) {
		w.do(w.p.Tick(w.now))
	}
	member := fmt.Sprint("m", w.rand.IntN(3))
	switch n := w.rand.IntN(20); {
	case n < 4 && !w.calm:
		last := w.end + int64(w.rand.IntN(5))
		w.log = append(w.log, Span{w.end, last})
		w.end = last + 1
	case n < 10:
		w.acquire(member)
	case n < 17:
		w.acknowledge(member)
	case n == 17 && !w.calm && w.rand.IntN(5) == 0:
		w.logf("%s is gone", member)
		for o, m := range w.has {
			if m == member {
				w.lost[o]++
			}
		}
		w.do(w.p.ReleaseMember(w.now, member))
	case n == 18 && !w.calm && w.rand.IntN(20) == 0:
		w.crash()
	}
}

func (w *world) acquire(member string) {
	from, ok := w.p.NextFetch()
	if !ok {
		return
	}
	take := Take{Member: member, MaxRecords: 1 + int64(w.rand.IntN(8)), Strict: w.rand.IntN(2) == 0, BatchSize: 4}
	for _, b := range w.log {
		if b.Last >= from && len(take.Spans) < 5 {
			take.Spans = append(take.Spans, b)
		}
	}
	total, before := int64(0), w.p.Next()
	given, effects := w.p.Acquire(w.now, take)
	for _, g := range given {
		w.logf("%s has %d-%d delivery %d", member, g.First, g.Last, g.DeliveryCount)
		total += g.Last - g.First + 1
		for o := g.First; o <= g.Last; o++ {
			w.deliveries[o]++
			w.has[o] = member
			if w.accepted[o] {
				w.fail("%d was accepted and is delivered again", o)
			}
			if w.deliveries[o]-w.lost[o] > int(w.set.DeliveryLimit) {
				w.fail("%d is delivered for the %dth time, %d do not count", o, w.deliveries[o], w.lost[o])
			}
			if int(g.DeliveryCount) > w.deliveries[o] {
				w.fail("%d: delivery count %d after %d deliveries", o, g.DeliveryCount, w.deliveries[o])
			}
		}
	}
	w.do(effects)
	if n := w.p.inFlight(); w.p.Next() > before && n > w.set.MaxInFlight+5 { // a whole batch may be given
		w.fail("%d in flight", n)
	}
	if take.Strict && total > take.MaxRecords {
		w.fail("%d records, at most %d were asked for", total, take.MaxRecords)
	}
}

func (w *world) acknowledge(member string) {
	first := int64(-1)
	for _, r := range w.p.runs {
		if r.state == Acquired && (r.member == member || w.rand.IntN(10) == 0) {
			first = r.first + int64(w.rand.IntN(int(r.size())))
			break
		}
	}
	if first < 0 {
		return
	}
	last := first + int64(w.rand.IntN(3))
	a := Ack{First: first, Last: last}
	for range last - first + 1 {
		if w.calm {
			a.Types = append(a.Types, Accept)
		} else {
			a.Types = append(a.Types, []int8{Accept, Accept, Release, Release, Reject, Gap, Renew}[w.rand.IntN(7)])
		}
	}
	w.ref++
	w.asked[w.ref] = []Ack{a}
	w.do(w.p.Acknowledge(w.now, w.ref, member, w.asked[w.ref]))
}

func (w *world) do(effects Effects) {
	for _, e := range effects {
		switch e := e.(type) {
		case Persist:
			w.writes = append(w.writes, e)
		case Reply:
			acks, ok := w.asked[e.Ref]
			if !ok {
				w.fail("request %d is answered twice", e.Ref)
			}
			delete(w.asked, e.Ref)
			if e.Err != nil {
				continue
			}
			for _, a := range acks {
				for i, t := range a.Types {
					if t == Accept && a.First+int64(i) >= 0 {
						w.accepted[a.First+int64(i)] = true
					}
				}
			}
		}
	}
	w.check()
}

func (w *world) flush() {
	e := w.writes[0]
	w.writes = w.writes[1:]
	if !w.calm && w.rand.IntN(25) == 0 {
		w.logf("write %d fails", e.Seq)
		w.do(w.p.Written(w.now, e.Seq, kerr.NotCoordinator))
		return
	}
	w.disk.write(e)
	w.do(w.p.Written(w.now, e.Seq, nil))
}

func (w *world) crash() {
	w.logf("broker crashes")
	for n := w.rand.IntN(len(w.writes) + 1); n > 0; n-- {
		w.disk.write(w.writes[0])
		w.writes = w.writes[1:]
	}
	w.writes, w.asked = nil, map[Ref][]Ack{}
	for o := range w.deliveries {
		w.lost[o] = w.deliveries[o] // what was counted before is on disk, or not
	}
	w.p = w.disk.restore(w.set)
}

func (w *world) check() {
	at := w.p.start
	for i := range w.p.runs {
		r := &w.p.runs[i]
		if r.first != at || r.last < r.first {
			w.fail("run %d-%d follows %d", r.first, r.last, at-1)
		}
		at = r.last + 1
		if (r.state == Acquired) != (r.member != "") {
			w.fail("run %d-%d is %v by %q", r.first, r.last, r.state, r.member)
		}
	}
	if at != w.p.next {
		w.fail("runs end at %d, next is %d", at, w.p.next)
	}
}

// settle lets all behave until nothing is left.
func (w *world) settle() {
	w.calm = true
	for range 6000 {
		if w.t.Failed() || w.p.Start() == w.end {
			return
		}
		w.step()
	}
	w.fail("start is %d, the log ends at %d", w.p.Start(), w.end)
}
