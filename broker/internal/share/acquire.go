package share

import "time"

// Span is a batch of the log by its offsets, both inclusive.
type Span struct{ First, Last int64 }

// Take is what a member would like to have of what was read.
type Take struct {
	Member string
	Spans  []Span // batches that were read, in order, from [Partition.NextFetch] on
	Skip   []Span // of those, records of transactions that were aborted: they are archived
	// MaxRecords is how many records are enough. Whole batches are given unless Strict
	// says that it is a limit (KIP-1206).
	MaxRecords int64
	Strict     bool
	BatchSize  int64 // how many records one of the answer's batches should have, about
}

// Given is a run of records that a member has acquired.
type Given struct {
	First, Last   int64
	DeliveryCount int16
}

// Acquire gives a member available records of what was read. What it goes past for good, as nobody is to
// have it, is asked to be written where no answer of a member will do that.
func (p *Partition) Acquire(now time.Time, t Take) (given []Given, effects Effects) {
	p.begin(now)
	left := t.MaxRecords
	for _, s := range t.Spans {
		if left <= 0 {
			break
		}
		first, last := max(s.First, p.start), s.Last
		if last < first {
			continue
		}
		p.skipTo(first)
		if first < p.next {
			p.again(t, first, min(last, p.next-1), &left, &given)
			first = p.next
		}
		if first > last || left <= 0 {
			continue
		}
		p.fresh(t, first, last, &left, &given)
	}
	p.skip(t.Skip)
	p.settle()
	p.keepStart()
	return chunks(given, t), p.out
}

// skipTo archives offsets that the log does not have (any more): they come before the next
// batch, and nobody will ever get them.
func (p *Partition) skipTo(first int64) {
	if first > p.next {
		p.runs = append(p.runs, run{first: p.next, last: first - 1, state: Archived})
		p.next = first
	}
}

// again gives records that were out before.
func (p *Partition) again(t Take, first, last int64, left *int64, given *[]Given) {
	for i := p.cut(first); i < len(p.runs) && p.runs[i].first <= last && *left > 0; i++ {
		if !p.runs[i].free() {
			continue
		}
		end := min(p.runs[i].last, last)
		if t.Strict {
			end = min(end, p.runs[i].first+*left-1)
		}
		p.cut(end + 1)
		r := &p.runs[i]
		r.count++
		p.give(r, t.Member)
		*left -= r.size()
		*given = append(*given, Given{r.first, r.last, r.count})
	}
}

// fresh gives records that nobody has had, within what may be in flight.
func (p *Partition) fresh(t Take, first, last int64, left *int64, given *[]Given) {
	room := p.set.MaxInFlight - p.inFlight()
	if room <= 0 {
		*left = 0
		return
	}
	if t.Strict {
		room = min(room, *left)
		last = min(last, first+room-1)
	}
	r := run{first: first, last: last, count: 1}
	p.give(&r, t.Member)
	p.runs = append(p.runs, r)
	p.next = last + 1
	*left -= r.size()
	*given = append(*given, Given{first, last, 1})
}

func (p *Partition) give(r *run, member string) {
	r.state, r.member, r.until = Acquired, member, p.now.Add(p.set.Lock)
}

// skip archives what was just acquired and is not to be delivered.
func (p *Partition) skip(spans []Span) {
	for _, s := range spans {
		first, last := max(s.First, p.start), min(s.Last, p.next-1)
		if first > last {
			continue
		}
		p.cut(last + 1)
		for i := p.cut(first); i < len(p.runs) && p.runs[i].first <= last; i++ {
			if r := &p.runs[i]; r.state == Acquired && r.writing == 0 {
				r.state, r.member, r.until = Archived, "", time.Time{}
			}
		}
	}
}

// chunks leaves out what is skipped and joins what lies together, in batches of about the
// size that the member likes.
func chunks(given []Given, t Take) (out []Given) {
	for _, g := range given {
		for _, s := range t.Skip {
			if s.First <= g.First && g.First <= s.Last {
				g.First = s.Last + 1
			} else if g.First < s.First && s.First <= g.Last {
				out = join(out, Given{g.First, s.First - 1, g.DeliveryCount}, t.BatchSize)
				g.First = s.Last + 1
			}
		}
		if g.First <= g.Last {
			out = join(out, g, t.BatchSize)
		}
	}
	return out
}

func join(out []Given, g Given, size int64) []Given {
	if n := len(out); n > 0 {
		last := &out[n-1]
		if last.Last+1 == g.First && last.DeliveryCount == g.DeliveryCount && last.Last-last.First+1 < size {
			last.Last = g.Last
			return out
		}
	}
	return append(out, g)
}
