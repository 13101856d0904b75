package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"

	"millrace/broker/internal/record"
)

// findEnd finds the end of the log. After a clean shutdown the last index entry leads near it; otherwise
// everything from the recovery point on is read and its checksums are checked. trusted is up to where
// snapshots and indexes are known to be on disk.
func (l *Log) findEnd() (trusted record.Offset, err error) {
	point, known := l.dir.recoveryPointOf(l.partition)
	if !l.loadEpochs() {
		point, known = 0, false // all of the log is read, to make them again
	}
	if l.dir.clean && known {
		err := l.findCleanEnd()
		if err == nil && l.end == point {
			l.checkpointed = point
			return point, nil
		}
		if err != nil && !errors.Is(err, ErrCorrupted) {
			return 0, err
		}
		l.dir.warn("log is not as it was left at the clean shutdown", "log", l.partition.String(), "end", int64(l.end), "expected", int64(point), "error", err)
		point = 0
	}
	return point, l.recover(max(point, l.segments[0].base))
}

// findCleanEnd walks from the last index entry of the active segment to its end.
func (l *Log) findCleanEnd() error {
	s := l.active()
	position, err := s.resume(math.MaxInt64, false)
	if err != nil {
		return err
	}
	w := walker{s: s, interval: l.config.Load().IndexIntervalBytes, next: s.base, resumed: position > 0, lax: true}
	err = s.scan(position, s.size, func(b record.Batch, at int64) error { return w.step(b, at) })
	l.end = w.next
	return err
}

// resume readies a segment to be appended to behind the index entry for an offset, and returns the position of
// the batch that the entry names. When the index is of no use that is 0 and the index is empty. With
// cut, entries after that one go: the log they were made for may not be there.
func (s *segment) resume(offset record.Offset, cut bool) (int64, error) {
	relative := offset - s.base
	e, n, err := s.offsets.last(func(e []byte) bool { return record.Offset(decodeOffsetEntry(e).offset) <= relative })
	if err != nil {
		return 0, err
	}
	var entry offsetEntry
	if n >= 0 {
		entry = decodeOffsetEntry(e)
		ok, err := s.pointsRight(entry, s.size)
		if err != nil {
			return 0, err
		}
		if !ok {
			entry, n, cut = offsetEntry{}, -1, true
		}
	}
	t, k, err := s.times.last(func(e []byte) bool { return !cut || (n >= 0 && decodeTimeEntry(e).offset <= entry.offset) })
	if err != nil {
		return 0, err
	}
	if k >= 0 {
		last := decodeTimeEntry(t)
		s.largest = timestampAt{last.timestamp, s.base + record.Offset(last.offset)}
		s.lastTime = last.timestamp
	}
	if entry.position > 0 {
		if err := s.loadFirstTime(); err != nil {
			return 0, err
		}
	}
	if cut {
		if err := errors.Join(s.offsets.truncate(n+1), s.times.truncate(k+1)); err != nil {
			return 0, err
		}
	}
	return int64(entry.position), nil
}

// loadFirstTime reads from the first batch what segment.ms counts from.
func (s *segment) loadFirstTime() error {
	f, err := s.open()
	if err != nil {
		return err
	}
	header := getBuffer(record.HeaderSize)
	defer putBuffer(header)
	if err := readFull(f, header, 0); err != nil {
		return fmt.Errorf("read %s: %w", s.path(logSuffix), err)
	}
	s.firstTime = record.Batch(header).MaxTimestamp()
	return nil
}

// walker follows the batches of a segment that is being opened.
type walker struct {
	s        *segment
	interval int
	next     record.Offset // offset that the next batch should have
	resumed  bool          // the first batch is the one that the index entry names
	lax      bool          // the shutdown was clean: checksums are taken on trust
	sparse   bool          // compaction leaves gaps between offsets
	epoch    func(record.Epoch, record.Offset)
	latest   record.Epoch // of the batches so far
}

// errEpochBack ends a walk at a leader epoch older than that of the batch before. No checksum covers
// epochs, but a leader never appends behind its successor.
var errEpochBack = errors.New("leader epoch goes back")

// errBadBatch ends a walk before a batch that cannot be kept.
var errBadBatch = errors.New("bad batch")

func (w *walker) step(b record.Batch, at int64) error {
	first := w.resumed
	switch base := b.BaseOffset(); {
	case !w.lax && !b.Intact():
		return fmt.Errorf("%w: checksum", errBadBatch)
	case !w.lax && b.LeaderEpoch() >= 0 && b.LeaderEpoch() < w.latest:
		return w.s.corruption(at, fmt.Errorf("%w: %d after %d", errEpochBack, b.LeaderEpoch(), w.latest))
	case b.LastOffsetDelta() < 0:
		return fmt.Errorf("%w: last offset delta %d", errBadBatch, b.LastOffsetDelta())
	case first && base < w.s.base:
		return fmt.Errorf("%w: offset %d is below the segment's first", errBadBatch, base)
	case !first && (base < w.next || (base > w.next && !w.sparse && !w.lax)):
		return fmt.Errorf("%w: offset %d, expected %d", errBadBatch, base, w.next)
	}
	w.resumed = false
	if first { // it has its entries already
		w.s.sinceIndex = len(b)
	} else {
		w.s.note(b, at, w.interval)
	}
	if w.epoch != nil {
		w.epoch(b.LeaderEpoch(), b.BaseOffset())
	}
	w.next, w.latest = b.NextOffset(), max(w.latest, b.LeaderEpoch())
	return nil
}

// recover reads the segments from the recovery point on. A torn tail is cut off and told; anything else that
// is not as it was written is returned as *CorruptionError, with nothing changed in the log.
func (l *Log) recover(point record.Offset) error {
	c := l.config.Load()
	first := 0
	for first < len(l.segments)-1 && l.segments[first+1].base < point {
		first++ // one that ends at the point may have been sealed after the checkpoint: it is among them
	}
	l.epochs = l.epochs.cutEnd(point)
	for i := first; i < len(l.segments); i++ {
		s := l.segments[i]
		if i > first && s.base != l.end && !l.sparse() {
			if err := l.damaged(i-1, l.segments[i-1].size, fmt.Errorf("log ends at offset %d, the next segment begins at %d", l.end, s.base), c); err != nil {
				return err
			}
			break
		}
		if stop, err := l.recoverSegment(i, point, c); stop || err != nil {
			if err != nil {
				return err
			}
			break
		}
	}
	if l.start > l.end {
		if err := l.restart(l.start); err != nil {
			return err
		}
	}
	l.epochs = l.epochs.cutEnd(l.end)
	l.newEpochs = true
	if l.end <= point {
		// The process may have been killed before the first sync: then the names are still in memory only.
		l.newNames, l.fresh = true, true
		return nil
	}
	// What was read may still be in memory only: it is on disk before anybody is shown it.
	p := syncPlan{end: l.end, names: true, fresh: true}
	for _, s := range l.segments[min(first, len(l.segments)-1):] {
		p.segments = append(p.segments, s.acquire())
	}
	if err := l.doSync(p); err != nil {
		return l.dir.fail(err)
	}
	return nil
}

// sparse tells whether there may be gaps between the offsets, because the log is compacted, or was.
func (l *Log) sparse() bool {
	l.dir.mu.Lock()
	defer l.dir.mu.Unlock()
	_, cleaned := l.dir.cleaned[l.partition]
	return cleaned || l.config.Load().Compact
}

// recoverSegment reads one segment and sets the end of the log behind it. stop tells that it was cut.
func (l *Log) recoverSegment(i int, point record.Offset, c *LogConfig) (stop bool, err error) {
	s := l.segments[i]
	position, err := s.resume(point-1, true) // entries from the recovery point on were not synced with it
	if err != nil {
		return false, err
	}
	w := walker{s: s, interval: c.IndexIntervalBytes, next: s.base, resumed: position > 0, sparse: l.sparse(), epoch: l.assignEpoch}
	good := position
	err = s.scan(position, s.size, func(b record.Batch, at int64) error {
		if err := w.step(b, at); err != nil {
			return err
		}
		good = at + int64(len(b))
		return nil
	})
	if w.resumed && s.size > 0 { // the batch that the index names is bad itself: begin at the front
		if point > s.base {
			return l.recoverSegment(i, s.base-1, c)
		}
	}
	l.end = w.next
	if err == nil {
		if i < len(l.segments)-1 {
			err = s.seal()
		}
		return false, err
	}
	if errors.Is(err, errEpochBack) || (!errors.Is(err, errBadBatch) && !errors.Is(err, ErrCorrupted)) {
		return false, err
	}
	return true, l.damaged(i, good, err, c)
}

// damaged decides about bad bytes from a position of segment i on. With flush.messages=1 a full segment
// was synced before the next one was begun, so that it cannot be torn.
func (l *Log) damaged(i int, position int64, why error, c *LogConfig) error {
	s := l.segments[i]
	later := l.segments[i+1:]
	if len(later) > 0 && c.FlushMessages <= 1 {
		return s.corruption(position, fmt.Errorf("%w; %d segments follow", why, len(later)))
	}
	corrupted, err := s.diagnose(position, s.size, l.end)
	if err != nil {
		return err
	}
	if corrupted != nil {
		return s.corruption(position, corrupted)
	}
	cut := s.size - position
	for _, gone := range slices.Backward(later) {
		cut += gone.size
		if err := gone.remove(l.dir.fs.Remove); err != nil {
			return err
		}
		gone.release()
	}
	l.segments = l.segments[:i+1]
	s.sealed.Store(false)
	f, err := s.open()
	if err != nil {
		return err
	}
	if err := f.Truncate(position); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return l.dir.fail(err)
	}
	s.size = position
	l.dir.event(slog.LevelWarn, "cut off a torn tail", "file", s.path(logSuffix), "position", position, "bytes", cut,
		"segments", len(later), "end", int64(l.end), "reason", why.Error())
	return nil
}

// restart begins the log anew at an offset: what it had is all below its start.
func (l *Log) restart(at record.Offset) error {
	for _, s := range slices.Backward(l.segments) {
		if err := s.remove(l.dir.fs.Remove); err != nil {
			return err
		}
		s.release()
	}
	s, err := createSegment(l.dir.fs, l.path, at, "")
	if err != nil {
		return err
	}
	l.dir.warn("log ended before its start and begins anew", "log", l.partition.String(), "start", int64(at), "end", int64(l.end))
	l.segments, l.end = []*segment{s}, at
	return nil
}
