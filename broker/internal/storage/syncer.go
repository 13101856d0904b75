package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"millrace/broker/internal/record"
)

// maxSyncs is how many logs are synced at the same time: enough for the file system to put several
// into one commit of its journal.
const maxSyncs = 4

// syncer asks the disk for all logs of a folder. A log that is appended to is queued; while it is being
// synced, further appends gather and go with its next turn. Nothing runs when nothing is queued.
type syncer struct {
	mu      sync.Mutex // guards what follows, and syncState of all logs
	queue   []*Log
	running int
	stopped bool
	workers sync.WaitGroup
}

type syncState int8

const (
	syncIdle syncState = iota
	syncQueued
	syncRunning
	syncAgain // running, and something came after it began
)

// add has a log synced soon.
func (s *syncer) add(l *Log) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch l.syncState {
	case syncIdle:
		if s.stopped {
			return
		}
		l.syncState = syncQueued
		s.queue = append(s.queue, l)
		if s.running < maxSyncs {
			s.running++
			s.workers.Go(s.work)
		}
	case syncRunning:
		l.syncState = syncAgain
	}
}

// work syncs what is queued and ends when there is nothing more.
func (s *syncer) work() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 {
		l := s.queue[0]
		s.queue[0] = nil
		s.queue = s.queue[1:]
		l.syncState = syncRunning
		s.mu.Unlock()
		l.sync()
		s.mu.Lock()
		if l.syncState == syncAgain && !s.stopped {
			l.syncState = syncQueued
			s.queue = append(s.queue, l)
		} else {
			l.syncState = syncIdle
		}
	}
	s.running--
}

// stop ends the syncer after what is running; what is queued stays undone.
func (s *syncer) stop() {
	s.mu.Lock()
	s.stopped = true
	s.queue = nil
	s.mu.Unlock()
	s.workers.Wait()
}

// syncPlan is what one sync of a log has to do, as of one moment.
type syncPlan struct {
	end      record.Offset
	segments []*segment
	names    bool // sync the log's folder
	fresh    bool // and what makes the folder itself durable
}

// sync makes durable what is in the log now and tells those who wait. A log is synced by one
// goroutine at a time.
func (l *Log) sync() {
	if p, ok := l.planSync(); ok {
		if err := l.doSync(p); err != nil {
			if !errors.Is(l.usable(), ErrClosed) { // Delete may take the folder away meanwhile
				_ = l.dir.fail(err)
			}
			return
		}
		l.flushed.Store(int64(p.end))
		l.flushedAt.Store(l.dir.now().UnixMilli())
	}
	synced := l.SyncedOffset()
	l.wake()
	if f := l.onSynced.Load(); f != nil && l.usable() == nil {
		(*f)(synced)
	}
}

// planSync takes over what is unsynced; false if the disk need not be asked yet.
func (l *Log) planSync() (syncPlan, bool) {
	force := l.force.Swap(false)
	every := l.config.Load().FlushMessages
	l.mu.Lock()
	defer l.mu.Unlock()
	waiting := int64(l.end) - l.flushed.Load()
	if l.closed || l.dir.Err() != nil || waiting == 0 || (!force && waiting < every) {
		return syncPlan{}, false
	}
	p := syncPlan{end: l.end, names: l.newNames, fresh: l.fresh}
	for _, s := range l.segments[len(l.segments)-min(l.unsynced, len(l.segments)):] {
		p.segments = append(p.segments, s.acquire())
	}
	l.unsynced, l.newNames, l.fresh = 0, false, false
	return p, true
}

func (l *Log) doSync(p syncPlan) error {
	var failed error
	for _, s := range p.segments {
		if failed == nil {
			failed = l.syncSegment(s)
		}
		s.release()
	}
	if failed != nil {
		return failed
	}
	fsys := l.dir.fs
	if p.fresh && l.topicID != (TopicID{}) {
		if err := syncFile(l, partitionFile); err != nil {
			return err
		}
	}
	if p.names || p.fresh {
		if err := fsys.SyncDir(l.path); err != nil {
			return fmt.Errorf("sync folder %s: %w", l.path, err)
		}
	}
	if p.fresh {
		if err := fsys.SyncDir(l.dir.path); err != nil {
			return fmt.Errorf("sync folder %s: %w", l.dir.path, err)
		}
	}
	return nil
}

// syncFile makes a small file of a log durable.
func syncFile(l *Log, name string) error {
	f, err := l.dir.fs.Open(filepath.Join(l.path, name), os.O_RDWR)
	if err != nil {
		return err
	}
	err = f.Sync()
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
