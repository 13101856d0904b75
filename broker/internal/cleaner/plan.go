package cleaner

import (
	"math"

	"millrace/broker/internal/record"
)

// Segment is what the rules have to know of a segment.
type Segment struct {
	Base             record.Offset
	Size             int64 // of its records, in bytes
	Index, TimeIndex int64 // of its indexes
	First, Largest   int64 // timestamp of its first batch, and the largest; -1 if unknown
}

// Log is a log that may be worth cleaning.
type Log struct {
	Segments []Segment // rising; the last one is written to
	Start    record.Offset
	End      record.Offset
	Stable   record.Offset // the last stable offset
	// Checkpoint is the offset up to which it was cleaned, -1 if it never was.
	Checkpoint record.Offset

	MinLag, MaxLag int64   // min.compaction.lag.ms, max.compaction.lag.ms
	MinRatio       float64 // min.cleanable.dirty.ratio
}

// Plan is what cleaning a log would be about.
type Plan struct {
	Dirty record.Offset // where the dirty part begins
	Until record.Offset // where what cannot be cleaned begins; it is where a segment begins
	// Reset says that the checkpoint did not fit the log: Dirty has to be written there.
	Reset bool

	CleanBytes, CleanableBytes int64
	// Now says that the dirty part has waited for max.compaction.lag.ms, Delay by how much more (milliseconds).
	Now   bool
	Delay int64
}

// Ratio is the part of the bytes that is dirty, of those that could be cleaned.
func (p Plan) Ratio() float64 {
	if all := p.CleanBytes + p.CleanableBytes; all > 0 {
		return float64(p.CleanableBytes) / float64(all)
	}
	return 0
}

// Due tells whether it is time to clean.
func (p Plan) Due(minRatio float64) bool {
	return p.Now && p.CleanableBytes > 0 || p.Ratio() > minRatio
}

// Plan finds the dirty part. The active segment is never cleaned, nor what is above the last stable offset or
// younger than min.compaction.lag.ms (Kafka's LogCleanerManager.cleanableOffsets).
func (l Log) Plan(now int64) Plan {
	p := Plan{Dirty: l.Checkpoint}
	if p.Dirty < l.Start || p.Dirty > l.End {
		p.Dirty, p.Reset = l.Start, l.Checkpoint >= 0
	}
	active := len(l.Segments) - 1
	first := l.at(p.Dirty)
	until := min(l.Stable, l.Segments[active].Base)
	if l.MinLag > 0 {
		for _, s := range l.Segments[min(first, active):active] {
			if s.Largest > now-l.MinLag {
				until = min(until, s.Base)
				break
			}
		}
	}
	end := min(l.at(max(until, p.Dirty)), active)
	p.Until = l.Segments[end].Base
	for i, s := range l.Segments[:end] {
		if s.Base < p.Dirty {
			p.CleanBytes += s.Size
		}
		if i >= first { // one that was cleaned in part counts as both, as it does in Kafka
			p.CleanableBytes += s.Size
		}
	}
	oldest := int64(math.MaxInt64)
	for _, s := range l.Segments[min(first, active):active] {
		if s.First > 0 {
			oldest = min(oldest, s.First)
		}
	}
	if since := now - max(l.MaxLag, 0); oldest < since {
		p.Now, p.Delay = true, since-oldest
	}
	return p
}

// at is the number of the segment that holds an offset.
func (l Log) at(o record.Offset) int {
	i := 0
	for i < len(l.Segments)-1 && l.Segments[i+1].Base <= o {
		i++
	}
	return i
}

// Groups puts neighbouring segments together that become one: no larger than segment.bytes, with indexes no larger than
// segment.index.bytes, and offsets that fit an index (Kafka's Cleaner.groupSegmentsBySize). The numbers are how many
// segments each group has. until is where what cannot be cleaned begins.
func Groups(segments []Segment, segmentBytes, indexBytes int64, until record.Offset) []int {
	var groups []int
	for i := 0; i < len(segments); {
		size, index, times := segments[i].Size, segments[i].Index, segments[i].TimeIndex
		n := 1
		for ; i+n < len(segments); n++ {
			s := segments[i+n]
			end := until - 1
			if i+n+1 < len(segments) {
				end = segments[i+n+1].Base - 1
			}
			if size+s.Size > segmentBytes || index+s.Index > indexBytes || times+s.TimeIndex > indexBytes ||
				s.Size > 0 && end-segments[i].Base > math.MaxInt32 {
				break
			}
			size, index, times = size+s.Size, index+s.Index, times+s.TimeIndex
		}
		groups = append(groups, n)
		i += n
	}
	return groups
}
