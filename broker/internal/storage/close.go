package storage

import (
	"errors"
	"path/filepath"
	"sync"

	"millrace/broker/internal/vfs"
)

// cleanShutdownMarker is what Kafka writes; the broker epoch is unknown to storage.
const cleanShutdownMarker = `{"version":0,"brokerEpoch":-1}`

// Close syncs all logs, writes checkpoints and the clean-shutdown marker and lets go of the lock.
// It may be called twice.
func (d *Dir) Close() error {
	if !d.beginClose() {
		return nil
	}
	d.checkpointMu.Lock()
	err := d.closeLogs()
	if err == nil {
		err = d.writeCheckpoints()
	}
	if err == nil {
		err = writeFile(d.fs, filepath.Join(d.path, cleanShutdownFile), []byte(cleanShutdownMarker))
	}
	d.checkpointMu.Unlock()
	return errors.Join(err, d.letGo())
}

// Crash lets go of the folder as kill -9 would: nothing is synced or written. For tests of recovery.
func (d *Dir) Crash() {
	if d.beginClose() {
		_ = d.letGo()
	}
}

// beginClose stops housekeeping and reports whether the folder was open.
func (d *Dir) beginClose() bool {
	d.openMu.Lock()
	defer d.openMu.Unlock()
	d.mu.Lock()
	was := d.closed
	d.closed = true
	d.mu.Unlock()
	if was {
		return false
	}
	close(d.stop)
	d.background.Wait()
	return true
}

// closeLogs brings all logs to disk, several at a time.
func (d *Dir) closeLogs() error {
	if err := d.Err(); err != nil {
		return err
	}
	logs := d.Logs()
	errs := make([]error, len(logs))
	slots := make(chan struct{}, maxSyncs)
	var wait sync.WaitGroup
	for i, l := range logs {
		slots <- struct{}{}
		wait.Go(func() {
			errs[i] = l.checkpoint(true)
			<-slots
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// letGo closes all files.
func (d *Dir) letGo() error {
	d.syncer.stop()
	for _, l := range d.Logs() {
		l.close()
	}
	return d.lock.Close()
}

// close lets go of a log's files and of those who wait for it. Readers finish what they have begun.
func (l *Log) close() {
	l.appendMu.Lock()
	l.mu.Lock()
	was := l.closed
	l.closed = true
	segments := l.segments
	l.mu.Unlock()
	l.appendMu.Unlock()
	if was {
		return
	}
	l.wake()
	l.dir.cache.dropLog(l)
	for _, s := range segments {
		s.release()
	}
}

// Delete closes a log, open or not, and removes its folder: renamed now, removed in the background.
// It returns ErrNotFound if there is none.
func (d *Dir) Delete(p Partition) error {
	d.openMu.Lock()
	defer d.openMu.Unlock()
	if l := d.Log(p); l != nil {
		l.doomed.Store(true)
		l.cleanMu.Lock()
		defer l.cleanMu.Unlock()
	}
	d.checkpointMu.Lock() // a checkpoint must not find the folder gone
	defer d.checkpointMu.Unlock()
	if err := d.usable(); err != nil {
		return err
	}
	d.mu.Lock()
	l := d.logs[p]
	delete(d.logs, p)
	delete(d.points, p)
	delete(d.starts, p)
	delete(d.watermarks, p)
	delete(d.cleaned, p)
	d.mu.Unlock()
	if l != nil {
		l.close()
	}
	from := filepath.Join(d.path, p.String())
	there, err := vfs.Exists(d.fs, from)
	if err != nil {
		return err
	}
	if !there {
		return ErrNotFound
	}
	to := filepath.Join(d.path, deletedName(p))
	if err := d.fs.Rename(from, to); err != nil {
		return err
	}
	if err := d.fs.SyncDir(d.path); err != nil {
		return d.fail(err)
	}
	d.background.Go(func() { d.removeDeleted(to) })
	return nil
}
