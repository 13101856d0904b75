package storage

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"millrace/broker/internal/record"
)

// keepHouse does what has to be done from time to time, until the folder is closed.
func (d *Dir) keepHouse() {
	d.sweepDeleted()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	checkpoint, retention := time.Now(), time.Now()
	for {
		select {
		case <-d.stop:
			return
		case now := <-tick.C:
			if d.Err() != nil {
				return
			}
			d.flushDue()
			d.removeDue(now)
			if every := d.options.CheckpointInterval; every > 0 && now.Sub(checkpoint) >= every {
				checkpoint = now
				d.cache.expire(d.now())
				if err := d.Checkpoint(); err != nil {
					d.warn("checkpoint failed", "folder", d.path, "error", err)
				}
			}
			if every := d.options.RetentionInterval; every > 0 && now.Sub(retention) >= every {
				retention = now
				d.retain()
			}
		}
	}
}

// flushDue has those logs synced whose flush.ms is over.
func (d *Dir) flushDue() {
	now := d.now().UnixMilli()
	for _, l := range d.Logs() {
		c := l.config.Load()
		if c.FlushMessages > 1 && c.FlushMs < now && now-l.flushedAt.Load() >= c.FlushMs && l.FlushedOffset() < l.EndOffset() {
			l.force.Store(true)
			d.syncer.add(l)
		}
	}
}

func (d *Dir) retain() {
	for _, l := range d.Logs() {
		d.retainLog(l)
	}
}

func (d *Dir) retainLog(l *Log) {
	if _, err := l.Retain(d.now()); err != nil && !errors.Is(err, ErrClosed) {
		d.warn("retention failed", "log", l.partition.String(), "error", err)
	}
}

// Checkpoint writes recovery points, log starts and high watermarks, so that recovery after a crash
// begins here.
func (d *Dir) Checkpoint() error {
	if err := d.usable(); err != nil {
		return err
	}
	d.checkpointMu.Lock()
	defer d.checkpointMu.Unlock()
	for _, l := range d.Logs() {
		if err := l.checkpoint(false); err != nil {
			return fmt.Errorf("checkpoint %s: %w", l.partition, err)
		}
	}
	return d.writeCheckpoints()
}

// checkpoint makes everything durable that recovery from the present end on relies upon: records, index
// entries, leader epochs and the producers' state. After the final one nothing is appended
// any more. The caller holds checkpointMu.
func (l *Log) checkpoint(final bool) error {
	end, segments, err := l.beginCheckpoint(final)
	for _, s := range segments {
		if err == nil {
			err = s.syncIndexes()
		}
		s.release()
	}
	if err == nil {
		err = l.saveEpochs()
	}
	if err != nil {
		return l.dir.writeFailed(err)
	}
	if end == l.checkpointed {
		return nil
	}
	if err := l.flush(); err != nil {
		return err
	}
	if err := syncFile(l, offsetName(int64(end), snapshotSuffix)); err != nil {
		return l.dir.fail(err)
	}
	if err := l.dir.fs.SyncDir(l.path); err != nil {
		return l.dir.fail(err)
	}
	l.checkpointed = end
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	return l.keepSnapshots()
}

// beginCheckpoint writes what belongs to the end of the log at this moment. The segments are referenced.
func (l *Log) beginCheckpoint(final bool) (end record.Offset, segments []*segment, err error) {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if err := l.usable(); err != nil {
		return 0, nil, err
	}
	end = l.end // changes under appendMu only
	if final {
		l.refused = ErrClosed
		l.active().noteTime()
	}
	if end != l.checkpointed {
		err = l.writeSnapshot(end)
	}
	for _, s := range l.segments {
		segments = append(segments, s.acquire())
		if err == nil {
			err = s.flushIndexes()
		}
	}
	return end, segments, err
}

// writeCheckpoints writes the three files of the folder. The caller holds checkpointMu.
func (d *Dir) writeCheckpoints() error {
	d.mu.Lock()
	for p, l := range d.logs {
		if l.checkpointed >= 0 {
			d.points[p] = l.checkpointed
		}
		d.watermarks[p] = l.HighWatermark()
	}
	points, watermarks := encodeOffsets(d.points), encodeOffsets(d.watermarks)
	d.mu.Unlock()
	if err := d.saveCheckpoint(recoveryPointFile, points); err != nil {
		return err
	}
	if err := d.saveCheckpoint(highWatermarkFile, watermarks); err != nil {
		return err
	}
	return d.writeLogStarts()
}

// saveCheckpoint writes a checkpoint file if it would say anything new.
func (d *Dir) saveCheckpoint(name string, data []byte) error {
	if string(data) == d.saved[name] {
		return nil
	}
	delete(d.saved, name)
	if err := writeFile(d.fs, filepath.Join(d.path, name), data); err != nil {
		return d.writeFailed(err)
	}
	d.saved[name] = string(data)
	return nil
}

// saveLogStarts makes the log start offsets durable at once.
func (d *Dir) saveLogStarts() error {
	d.checkpointMu.Lock()
	defer d.checkpointMu.Unlock()
	return d.writeLogStarts()
}

// writeLogStarts writes the log start offsets that the names of the segments do not tell already.
func (d *Dir) writeLogStarts() error {
	starts := map[Partition]record.Offset{}
	for _, l := range d.Logs() {
		l.mu.RLock()
		if l.start > l.segments[0].base {
			starts[l.partition] = l.start
		}
		l.mu.RUnlock()
	}
	d.mu.Lock()
	for p, o := range d.starts {
		if d.logs[p] == nil {
			starts[p] = o
		}
	}
	d.starts = starts
	data := encodeOffsets(starts)
	d.mu.Unlock()
	return d.saveCheckpoint(logStartFile, data)
}
