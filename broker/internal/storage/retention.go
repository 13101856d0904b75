package storage

import (
	"fmt"
	"log/slog"
	"time"

	"millrace/broker/internal/record"
)

// Retain removes segments by retention.ms and retention.bytes and returns how many. The folder does
// this by itself every RetentionInterval.
func (l *Log) Retain(now time.Time) (int, error) {
	if err := l.usable(); err != nil {
		return 0, err
	}
	free := l.cleanMu.TryLock() // else the log is being cleaned, and the cleaner calls Retain when it is done
	if free {
		defer l.cleanMu.Unlock()
	}
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	l.producers.expire(now, l.dir.options.ProducerExpiry)
	l.expireVerify(now, l.dir.options.ProducerExpiry)
	if !free {
		return 0, nil
	}
	c := l.config.Load()
	n := 0
	if c.Delete {
		var err error
		if n, err = l.expired(now, c); err != nil {
			return 0, err
		}
	}
	return l.removeFirst(max(n, l.belowStart()), c)
}

// expired counts the oldest segments that retention lets go. Only what is acknowledged may go.
func (l *Log) expired(now time.Time, c *LogConfig) (int, error) {
	synced := l.SyncedOffset()
	over := int64(-1)
	if c.RetentionBytes >= 0 {
		over = l.Size() - c.RetentionBytes
	}
	n := 0
	for i, s := range l.segments { // changes under appendMu only
		end, last := l.end, i == len(l.segments)-1
		if !last {
			end = l.segments[i+1].base
		}
		switch {
		case end > synced, s.size == 0 && last:
			return n, nil
		case s.size == 0: // compaction has emptied it: it goes with what follows
			continue
		}
		largest := s.largest
		if !last {
			var err error
			if largest, err = s.largestTimestamp(s.size); err != nil {
				return 0, err
			}
		}
		old := false
		if c.RetentionMs >= 0 {
			age, err := s.age(now, largest.timestamp)
			if err != nil {
				return 0, err
			}
			old = age > c.RetentionMs
		}
		big := over >= s.size
		if !old && !big {
			return n, nil
		}
		over -= s.size
		n = i + 1
	}
	return n, nil
}

// age is how many milliseconds ago the segment's last record was made; where its records do not tell, the file was
// changed.
func (s *segment) age(now time.Time, largest int64) (int64, error) {
	if largest < 0 {
		info, err := s.fs.Stat(s.path(logSuffix))
		if err != nil {
			return 0, err
		}
		largest = info.ModTime().UnixMilli()
	}
	return now.UnixMilli() - largest, nil
}

// belowStart counts the segments that end at or before the log start offset.
func (l *Log) belowStart() int {
	n := 0
	for n < len(l.segments)-1 && l.segments[n+1].base <= l.start {
		n++
	}
	return n
}

// removeFirst removes the oldest n segments; the log start moves behind them. When they are all, a
// new one is begun first. The caller holds appendMu.
func (l *Log) removeFirst(n int, c *LogConfig) (int, error) {
	if n == 0 {
		return 0, nil
	}
	if n == len(l.segments) {
		if err := l.roll(c); err != nil {
			return 0, l.dir.writeFailed(fmt.Errorf("roll %s at offset %d: %w", l.path, l.end, err))
		}
	}
	l.mu.Lock()
	gone := l.segments[:n]
	l.segments = append([]*segment(nil), l.segments[n:]...)
	l.unsynced = min(l.unsynced, len(l.segments))
	l.newNames = true
	if base := l.segments[0].base; base > l.start {
		l.start = base
		if cut := l.epochs.cutStart(base); len(cut) != len(l.epochs) || len(cut) > 0 && cut[0] != l.epochs[0] {
			l.epochs, l.newEpochs = cut, true
		}
	}
	start := l.start
	l.mu.Unlock()
	l.forgetSnapshots(start)
	var size int64
	for i, s := range gone { // oldest first: whatever a crash leaves is one run up to the end
		size += s.size
		err := s.remove(func(path string) error { l.dir.removeLater(path, c); return nil })
		s.release()
		if err != nil {
			return i, l.dir.fail(fmt.Errorf("remove segment %d of %s: %w", s.base, l.path, err))
		}
	}
	l.dir.event(slog.LevelInfo, "removed old segments", "log", l.partition.String(), "segments", n, "bytes", size, "start", int64(start))
	return n, nil
}

// DeleteBefore raises the log start offset (DeleteRecords) and removes the segments below it. It is
// durable when it returns. It returns *OffsetRangeError when the offset is above SyncedOffset.
func (l *Log) DeleteBefore(o record.Offset) (record.Offset, error) {
	if err := l.usable(); err != nil {
		return 0, err
	}
	start, err := l.raiseStart(o)
	if err != nil {
		return start, err
	}
	if err := l.dir.saveLogStarts(); err != nil {
		return start, err
	}
	if !l.cleanMu.TryLock() { // it is being cleaned: the next Retain removes them
		return start, nil
	}
	defer l.cleanMu.Unlock()
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	_, err = l.removeFirst(l.belowStart(), l.config.Load())
	return start, err
}

func (l *Log) raiseStart(o record.Offset) (record.Offset, error) {
	l.appendMu.Lock() // start changes under both locks, so that either may read it
	defer l.appendMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if synced := l.SyncedOffset(); o > synced || o < 0 {
		return l.start, &OffsetRangeError{Offset: o, Start: l.start, End: synced}
	}
	if o > l.start {
		l.start = o
		l.epochs, l.newEpochs = l.epochs.cutStart(o), true
	}
	return l.start, nil
}
