package share

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// State is what became of a record. The numbers are those of Kafka's records.
type State int8

const (
	Available    State = 0
	Acquired     State = 1
	Acknowledged State = 2
	Archived     State = 4
)

var stateNames = map[State]string{Available: "available", Acquired: "acquired", Acknowledged: "acknowledged", Archived: "archived"}

func (s State) String() string { return stateNames[s] }

// done tells whether a record in that state is never delivered again.
func (s State) done() bool { return s == Acknowledged || s == Archived }

// Ref names a request that waits for an answer.
type Ref uint64

// Settings rule a share group's partitions.
type Settings struct {
	Lock          time.Duration // share.record.lock.duration.ms
	DeliveryLimit int16         // share.delivery.count.limit: deliveries before a record is archived
	MaxInFlight   int64         // share.partition.max.record.locks
	Renew         bool          // share.renew.acknowledge.enable
}

// Batch is a run of records in one state, as it is kept on disk.
type Batch struct {
	First, Last   int64
	State         State
	DeliveryCount int16
}

// Partition is one partition of one share group. It is not safe for concurrent use.
type Partition struct {
	set   Settings
	start int64
	kept  int64 // the start that is on disk
	next  int64
	runs  []run // of [start, next), in order, without gaps

	seq    uint64
	writes []write // under way, in order
	out    Effects
	now    time.Time
}

// run is records next to each other of which the same can be said.
type run struct {
	first, last int64
	state       State
	count       int16 // deliveries
	member      string
	until       time.Time // when the lock runs out
	writing     uint64    // the write that will change it, 0 if none
}

func (r *run) size() int64 { return r.last - r.first + 1 }

// write is a [Persist] under way: what the runs will be, and who is to be told.
type write struct {
	seq     uint64
	start   int64
	ref     Ref // 0: nobody asked
	changes []Batch
}

// Effects are what has to be done, in this order.
type Effects []Effect

// Effect is a [Reply], a [Persist] or a [Wake].
type Effect interface{ effect() }

// Reply answers a request: nil for done.
type Reply struct {
	Ref Ref
	Err *kerr.Error
}

// Persist asks for a change to be written, after all that were asked for before.
type Persist struct {
	Seq      uint64
	Start    int64
	Complete int32 // records from Start on that are done (KIP-1226), this change included
	Batches  []Batch
}

// Wake tells that there may be something to acquire that was not there before.
type Wake struct{}

func (Reply) effect()   {}
func (Persist) effect() {}
func (Wake) effect()    {}

// New returns a partition that begins at an offset.
func New(set Settings, start int64) *Partition {
	return &Partition{set: set, start: start, kept: start, next: start}
}

// Restore returns a partition as it was kept: from start on, batches tell what is known.
// What lies between them had been acquired and is available again.
func Restore(set Settings, start int64, batches []Batch) *Partition {
	p := New(set, start)
	for _, b := range batches {
		b.First = max(b.First, p.next)
		if b.Last < b.First {
			continue
		}
		if b.First > p.next {
			p.runs = append(p.runs, run{first: p.next, last: b.First - 1})
		}
		p.runs = append(p.runs, run{first: b.First, last: b.Last, state: b.State, count: b.DeliveryCount})
		p.next = b.Last + 1
	}
	p.settle()
	return p
}

// Configure changes the settings; locks that run keep their time.
func (p *Partition) Configure(set Settings) { p.set = set }

// Start is the offset of the first record that is not done.
func (p *Partition) Start() int64 { return p.start }

// Next is the first offset that has not been looked at.
func (p *Partition) Next() int64 { return p.next }

// Runs lists what is in flight.
func (p *Partition) Runs() (out []Batch) {
	for _, r := range p.runs {
		out = append(out, Batch{r.first, r.last, r.state, r.count})
	}
	return out
}

// inFlight counts the records that are not done.
func (p *Partition) inFlight() (n int64) {
	for i := range p.runs {
		if !p.runs[i].state.done() {
			n += p.runs[i].size()
		}
	}
	return n
}

// free tells whether a run can be acquired.
func (r *run) free() bool { return r.state == Available && r.writing == 0 }

// NextFetch is the offset to read the log from; ok is false if nothing can be acquired:
// too many records are in flight and none of them is available.
func (p *Partition) NextFetch() (offset int64, ok bool) {
	for i := range p.runs {
		if p.runs[i].free() {
			return p.runs[i].first, true
		}
	}
	return p.next, p.inFlight() < p.set.MaxInFlight
}

// settle moves start over what is done and joins neighbours that are alike.
func (p *Partition) settle() {
	n := 0
	for n < len(p.runs) && p.runs[n].state.done() && p.runs[n].writing == 0 {
		p.start = p.runs[n].last + 1
		n++
	}
	p.runs = slices.Delete(p.runs, 0, n)
	out := p.runs[:0]
	for _, r := range p.runs {
		if n := len(out); n > 0 && alike(&out[n-1], &r) {
			out[n-1].last = r.last
			continue
		}
		out = append(out, r)
	}
	clear(p.runs[len(out):])
	p.runs = out
}

// alike tells whether two runs can be one. Those that are being changed cannot: the changes
// may differ.
func alike(a, b *run) bool {
	if a.state != b.state || a.writing != 0 || b.writing != 0 {
		return false
	}
	return a.state.done() || a.count == b.count && a.member == b.member && a.until.Equal(b.until)
}

// cut makes sure that a run begins at an offset of the window, and returns its place.
func (p *Partition) cut(offset int64) int {
	i := p.at(offset)
	if i == len(p.runs) || p.runs[i].first >= offset {
		return i
	}
	head := p.runs[i]
	head.last = offset - 1
	p.runs[i].first = offset
	p.runs = slices.Insert(p.runs, i, head)
	return i + 1
}

// at returns the place of the run that contains an offset, or the one after it.
func (p *Partition) at(offset int64) int {
	i, _ := slices.BinarySearchFunc(p.runs, offset, func(r run, o int64) int {
		if r.last < o {
			return -1
		}
		return 1
	})
	return i
}

// Deadline is when the next lock runs out; zero: there is none.
func (p *Partition) Deadline() (next time.Time) {
	for i := range p.runs {
		r := &p.runs[i]
		if r.state == Acquired && r.writing == 0 && (next.IsZero() || r.until.Before(next)) {
			next = r.until
		}
	}
	return next
}

// Holds tells whether a member has records.
func (p *Partition) Holds(member string) bool {
	return slices.ContainsFunc(p.runs, func(r run) bool { return r.state == Acquired && r.member == member })
}
