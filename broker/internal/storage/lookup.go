package storage

import (
	"errors"

	"millrace/broker/internal/record"
)

// TimestampOffset is where a record with a timestamp is.
type TimestampOffset struct {
	Offset      record.Offset // -1: there is none
	Timestamp   int64         // milliseconds
	LeaderEpoch record.Epoch
}

var noTimestampOffset = TimestampOffset{Offset: -1, Timestamp: record.NoTimestamp, LeaderEpoch: -1}

// segmentView is a segment with a reference and what was published of it at one moment.
type segmentView struct {
	*segment
	size    int64
	largest timestampAt
	last    bool
}

// view returns the segments from the one that holds the log start, referenced. Release them.
func (l *Log) view() ([]segmentView, record.Offset, error) {
	if err := l.usable(); err != nil {
		return nil, 0, err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	views := make([]segmentView, 0, len(l.segments))
	for i, s := range l.segments {
		last := i == len(l.segments)-1
		if !last && l.segments[i+1].base <= l.start {
			continue
		}
		v := segmentView{segment: s.acquire(), size: s.size, last: last}
		if last {
			v.largest = s.largest
		}
		views = append(views, v)
	}
	return views, l.start, nil
}

func releaseViews(views []segmentView) {
	for _, v := range views {
		v.release()
	}
}

// sum returns the largest timestamp of a view.
func (v *segmentView) sum() (timestampAt, error) {
	if v.last {
		return v.largest, nil
	}
	return v.largestTimestamp(v.size)
}

// OffsetForTime finds the first record with a timestamp of at least ms (ListOffsets); Offset is -1 if
// there is none.
func (l *Log) OffsetForTime(ms int64) (TimestampOffset, error) {
	views, start, err := l.view()
	if err != nil {
		return noTimestampOffset, err
	}
	defer releaseViews(views)
	for _, v := range views {
		largest, err := v.sum()
		if err != nil {
			return noTimestampOffset, err
		}
		if largest.timestamp < ms {
			continue
		}
		found, err := v.firstSince(ms, v.size, start)
		if err != nil || found.Offset >= 0 {
			found.LeaderEpoch = l.EpochAt(found.Offset)
			return found, err
		}
	}
	return noTimestampOffset, nil
}

// OffsetForMaxTime finds the record with the largest timestamp (ListOffsets with -3, KIP-734).
func (l *Log) OffsetForMaxTime() (TimestampOffset, error) {
	views, start, err := l.view()
	if err != nil {
		return noTimestampOffset, err
	}
	defer releaseViews(views)
	best, at := timestampAt{timestamp: record.NoTimestamp}, -1
	for i := range views {
		largest, err := views[i].sum()
		if err != nil {
			return noTimestampOffset, err
		}
		if largest.timestamp > best.timestamp {
			best, at = largest, i
		}
	}
	if at < 0 {
		return noTimestampOffset, nil
	}
	found, err := views[at].firstSince(best.timestamp, views[at].size, start)
	if err == nil && found.Offset >= 0 {
		found.LeaderEpoch = l.EpochAt(found.Offset)
	}
	return found, err
}

// errFound ends a scan early.
var errFound = errors.New("found")

// firstSince finds the first record of the segment with a timestamp of at least ms, at or after start. The
// time index leads near it, batch headers to its batch, and only that batch is decoded.
func (s *segment) firstSince(ms int64, size int64, start record.Offset) (TimestampOffset, error) {
	offset := max(start, s.base)
	e, n, err := s.times.last(func(e []byte) bool { return decodeTimeEntry(e).timestamp < ms })
	if err != nil {
		return noTimestampOffset, err
	}
	if n >= 0 {
		offset = max(offset, s.base+record.Offset(decodeTimeEntry(e).offset))
	}
	position, length, err := s.find(offset, size)
	if err != nil || length == 0 {
		return noTimestampOffset, err
	}
	found := noTimestampOffset
	err = s.scan(position, size, func(b record.Batch, _ int64) error {
		if b.MaxTimestamp() < ms || b.LastOffset() < start {
			return nil
		}
		for r, err := range b.Records(record.MaxDecompressed) {
			if err != nil {
				return err
			}
			if r.Timestamp >= ms && r.Offset >= start {
				found = TimestampOffset{Offset: r.Offset, Timestamp: r.Timestamp}
				return errFound
			}
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return found, err
}
