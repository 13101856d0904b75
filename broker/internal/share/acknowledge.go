package share

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Acknowledgement types (KIP-932, KIP-1222).
const (
	Gap     int8 = 0 // there is no such record
	Accept  int8 = 1
	Release int8 = 2 // let another have it
	Reject  int8 = 3 // nobody can use it
	Renew   int8 = 4 // more time, please
)

// Ack is what a member says of records next to each other: one type for all, or one for each.
type Ack struct {
	First, Last int64
	Types       []int8
}

// CheckAcks refuses what no partition would take: INVALID_REQUEST.
func CheckAcks(acks []Ack, renew bool) *kerr.Error {
	before := int64(-1)
	for _, a := range acks {
		n := int64(len(a.Types))
		if a.First < 0 || a.First > a.Last || a.First <= before || n == 0 || n > 1 && n != a.Last-a.First+1 {
			return kerr.InvalidRequest
		}
		before = a.Last
		for _, t := range a.Types {
			if t < Gap || t > Renew || t == Renew && !renew {
				return kerr.InvalidRequest
			}
		}
	}
	return nil
}

// Acknowledge takes in what a member says of records that it has. All of it counts, or
// nothing does. The answer comes as a [Reply], when it is durable.
func (p *Partition) Acknowledge(now time.Time, ref Ref, member string, acks []Ack) Effects {
	p.begin(now)
	staged := Partition{set: p.set, start: p.start, next: p.next, runs: slices.Clone(p.runs), now: now, seq: p.seq + 1}
	var changes []Batch
	for _, a := range acks {
		if err := staged.stage(member, a, &changes); err != nil {
			p.out = append(p.out, Reply{ref, err})
			return p.out
		}
	}
	p.runs = staged.runs
	if len(changes) == 0 { // only more time was asked for
		p.settle()
		p.out = append(p.out, Reply{ref, nil})
		return p.out
	}
	p.persist(ref, changes)
	return p.out
}

// stage marks what an acknowledgement will change, or says why it cannot.
func (p *Partition) stage(member string, a Ack, changes *[]Batch) *kerr.Error {
	switch {
	case a.First >= p.next || a.Last >= p.next:
		return kerr.InvalidRequest // past what was ever given
	case a.Last < p.start:
		return nil // done already, whatever is said of it now
	}
	for i, t := range a.Types {
		first, last := a.First, a.Last
		if len(a.Types) > 1 {
			first, last = a.First+int64(i), a.First+int64(i)
		}
		if first = max(first, p.start); first > last {
			continue
		}
		p.cut(last + 1)
		for at := p.cut(first); at < len(p.runs) && p.runs[at].first <= last; at++ {
			r := &p.runs[at]
			if r.state != Acquired || r.writing != 0 || r.member != member {
				return kerr.InvalidRecordState
			}
			if t == Renew {
				r.until = p.now.Add(p.set.Lock)
				continue
			}
			r.writing = p.seq
			*changes = append(*changes, Batch{r.first, r.last, p.after(t, r.count), r.count})
		}
	}
	return nil
}

// after is the state that an acknowledgement leads to.
func (p *Partition) after(t int8, count int16) State {
	switch {
	case t == Accept:
		return Acknowledged
	case t == Release && count < p.set.DeliveryLimit:
		return Available
	}
	return Archived
}

// ReleaseMember gives back what a member has: it is gone. These deliveries do not count,
// as nobody can say that the records were seen.
func (p *Partition) ReleaseMember(now time.Time, member string) Effects {
	return p.giveBack(now, func(r *run) bool { return r.member == member }, func(r *run) Batch {
		return Batch{r.first, r.last, Available, max(r.count-1, 0)}
	})
}

// Tick gives back what has been out for too long.
func (p *Partition) Tick(now time.Time) Effects {
	return p.giveBack(now, func(r *run) bool { return !r.until.After(now) }, func(r *run) Batch {
		return Batch{r.first, r.last, p.after(Release, r.count), r.count}
	})
}

func (p *Partition) giveBack(now time.Time, which func(*run) bool, how func(*run) Batch) Effects {
	p.begin(now)
	var changes []Batch
	for i := range p.runs {
		if r := &p.runs[i]; r.state == Acquired && r.writing == 0 && which(r) {
			r.writing = p.seq + 1
			changes = append(changes, how(r))
		}
	}
	if len(changes) > 0 {
		p.persist(0, changes)
	}
	return p.out
}

// LogStart tells that the log begins later now. What is gone and was not out is archived;
// what is out stays with its members, whose answer does not matter any more.
func (p *Partition) LogStart(now time.Time, start int64) Effects {
	p.begin(now)
	if start <= p.start {
		return nil
	}
	if start > p.next {
		p.runs = append(p.runs, run{first: p.next, last: start - 1, state: Archived})
		p.next = start
	}
	p.cut(start)
	for i := range p.runs {
		if r := &p.runs[i]; r.last < start && r.free() {
			r.state = Archived
		}
	}
	p.settle()
	p.out = append(p.out, Wake{})
	return p.out
}

func (p *Partition) begin(now time.Time) { p.now, p.out = now, nil }

// persist asks for changes to be written. The runs in question carry its number.
func (p *Partition) persist(ref Ref, changes []Batch) {
	p.seq++
	w := write{seq: p.seq, ref: ref, changes: changes}
	p.writes = append(p.writes, w)
	start, complete := p.Together(p.seq, p.seq)
	p.out = append(p.out, Persist{p.seq, start, complete, merged(changes)})
}

// keepStart has a start written that moved without a member's doing: over markers of transactions, over records
// of aborted ones, over what the log does not have. A write that failed is not tried again by this: the next
// input will do.
func (p *Partition) keepStart() {
	if len(p.writes) == 0 && p.start > p.kept {
		p.persist(0, nil)
	}
}

// Together makes one write of those from one number to another: it returns where the partition will start when
// that is durable, and how many records after that will be done. Other writes that are under way may fail, and are
// not counted on.
func (p *Partition) Together(from, to uint64) (start int64, complete int32) {
	start = p.start
	n := int64(0)
	for i := range p.runs {
		r := &p.runs[i]
		state := r.state
		if from <= r.writing && r.writing <= to {
			state = p.write(r.writing).of(r.first).State
		} else if r.writing != 0 {
			state = Acquired
		}
		switch {
		case !state.done():
		case r.first == start:
			start = r.last + 1
		default:
			n += r.size()
		}
	}
	p.write(to).start = start
	return start, int32(min(n, 1<<31-1))
}

// merged joins neighbours that change alike.
func merged(changes []Batch) (out []Batch) {
	for _, c := range changes {
		if n := len(out); n > 0 && out[n-1].Last+1 == c.First && out[n-1].State == c.State && out[n-1].DeliveryCount == c.DeliveryCount {
			out[n-1].Last = c.Last
			continue
		}
		out = append(out, c)
	}
	return out
}

// Written tells that the oldest [Persist] under way is durable, or why it is not: then
// the records are with whom they were.
func (p *Partition) Written(now time.Time, seq uint64, err *kerr.Error) Effects {
	p.begin(now)
	if len(p.writes) == 0 || p.writes[0].seq != seq {
		panic("share: writes reported out of order")
	}
	w := p.writes[0]
	p.writes = p.writes[1:]
	wake := false
	for i := range p.runs {
		r := &p.runs[i]
		if r.writing != seq {
			continue
		}
		r.writing = 0
		if err != nil {
			continue
		}
		c := w.of(r.first)
		r.state, r.count, r.member, r.until = c.State, c.DeliveryCount, "", time.Time{}
		wake = true // available, or room for more in flight
	}
	if err == nil {
		p.kept = max(p.kept, w.start)
		p.settle()
	}
	if w.ref != 0 {
		p.out = append(p.out, Reply{w.ref, err})
	}
	if wake {
		p.out = append(p.out, Wake{})
	}
	if err == nil {
		p.keepStart()
	}
	return p.out
}

// write finds a write under way.
func (p *Partition) write(seq uint64) *write { return &p.writes[seq-p.writes[0].seq] }

// of finds the change of an offset.
func (w *write) of(offset int64) Batch {
	for _, c := range w.changes {
		if c.First <= offset && offset <= c.Last {
			return c
		}
	}
	panic("share: a run is marked by a write that does not change it")
}
