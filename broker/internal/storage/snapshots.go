package storage

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

// writeSnapshot writes the producer state as of the end of the log, which is o. It is not synced: one
// that a crash damages fails its checksum and an older one serves. The caller holds appendMu.
func (l *Log) writeSnapshot(o record.Offset) error {
	if n := len(l.snapshots); n > 0 && l.snapshots[n-1] == o {
		return nil
	}
	f, err := l.dir.fs.Open(l.snapshotPath(o), createFlags)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(l.producers.encodeSnapshot(), 0)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		l.snapshots = append(l.snapshots, o)
	}
	return err
}

func (l *Log) snapshotPath(o record.Offset) string {
	return filepath.Join(l.path, offsetName(int64(o), snapshotSuffix))
}

// loadProducers takes the newest snapshot that is intact and not beyond what is trusted, and reads on in
// the log from there, which makes the index of aborted transactions again too. Snapshots that are
// damaged, or beyond, are removed.
func (l *Log) loadProducers(trusted record.Offset) error {
	l.producers = producers{}
	from := l.start
	for len(l.snapshots) > 0 {
		o := l.snapshots[len(l.snapshots)-1]
		if o <= min(trusted, l.end) {
			data, err := vfs.ReadFile(l.dir.fs, l.snapshotPath(o))
			if err != nil {
				return err
			}
			ps, err := decodeSnapshot(data)
			if err == nil {
				l.producers, from = ps, max(o, l.start)
				break
			}
			l.dir.warn("ignored a damaged producer snapshot", "file", l.snapshotPath(o), "error", err)
		}
		l.snapshots = l.snapshots[:len(l.snapshots)-1]
		if err := l.removeSnapshot(o); err != nil {
			return err
		}
	}
	for id, p := range l.producers {
		if p.txnFirst >= 0 {
			l.unstable.begin(id, p.txnFirst)
		}
	}
	for _, s := range l.segments {
		next := l.segmentEnd(s)
		if next < from {
			continue
		}
		if err := s.aborted.cut(func(e []byte) bool { return decodeAborted(e).Last >= from }); err != nil {
			return err
		}
		if next == from {
			continue
		}
		if err := l.replayProducers(s, from); err != nil {
			return err
		}
	}
	l.unstable.settle(l.end)
	return nil
}

// replayProducers reads the part of a segment from an offset on.
func (l *Log) replayProducers(s *segment, from record.Offset) error {
	position, length, err := s.find(max(from, s.base), s.size)
	if err != nil || length == 0 {
		return err
	}
	return s.scan(position, s.size, func(b record.Batch, _ int64) error {
		if b.BaseOffset() >= from {
			l.addToProducers(b, s)
		}
		return nil
	})
}

// segmentEnd is the offset after the last record of a segment.
func (l *Log) segmentEnd(s *segment) record.Offset {
	i := slices.Index(l.segments, s)
	if i == len(l.segments)-1 {
		return l.end
	}
	return l.segments[i+1].base
}

// keepSnapshots removes all snapshots but the newest and those at the start of a segment, which recovery
// may need when the newest is damaged. The caller holds appendMu.
func (l *Log) keepSnapshots() error {
	for i := 0; i < len(l.snapshots)-1; {
		o := l.snapshots[i]
		if slices.ContainsFunc(l.segments, func(s *segment) bool { return s.base == o }) {
			i++
			continue
		}
		if err := l.removeSnapshot(o); err != nil {
			return err
		}
		l.snapshots = slices.Delete(l.snapshots, i, i+1)
	}
	return nil
}

// forgetSnapshots removes the snapshots below the log start, but never the newest one.
// A file that cannot be removed is removed at the next opening. The caller holds appendMu.
func (l *Log) forgetSnapshots(start record.Offset) {
	for len(l.snapshots) > 1 && l.snapshots[0] < start {
		_ = l.removeSnapshot(l.snapshots[0])
		l.snapshots = l.snapshots[1:]
	}
}

func (l *Log) removeSnapshot(o record.Offset) error {
	err := l.dir.fs.Remove(l.snapshotPath(o))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
