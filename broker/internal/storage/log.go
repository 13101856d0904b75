package storage

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"

	"millrace/broker/internal/record"
)

// Log is the records of one partition. All methods may be called from any goroutine.
//
// Three locks, taken in this order: appendMu, held while batches are written; mu, held for a few
// instructions to publish what was written and to look at it; syncMu, for those who wait for the disk.
type Log struct {
	dir       *Dir
	partition Partition
	path      string
	topicID   TopicID
	config    atomic.Pointer[LogConfig]

	// cleanMu is held by who takes segments away or puts others in their place; the rest of the time nobody does. A
	// cleaner holds it for long: retention comes another time, Delete sets doomed and waits.
	cleanMu     sync.Mutex
	doomed      atomic.Bool
	uncleanable atomic.Bool // the cleaner has met damage

	appendMu  sync.Mutex // guards producers, verifying, snapshots, and writing to the last segment
	producers producers
	verifying map[int64]*verification // transactions whose first batch is on its way, by producer
	lastGuard Guard
	unstable  *unstable
	snapshots []record.Offset // of the .snapshot files, rising
	refused   error           // why nothing can be appended any more: the folder is closing

	mu         sync.RWMutex // guards what follows
	segments   []*segment   // replaced, never changed in place
	start, end record.Offset
	epochs     epochs // replaced, never changed in place
	newEpochs  bool   // epochs are not in their file yet
	tail       tail
	closed     bool
	newNames   bool // names in the folder, or the folder's own, that are not synced
	fresh      bool // created and never synced: the folder's name may be lost
	unsynced   int  // segments at the end that have bytes which are not synced

	flushed   atomic.Int64 // below it everything is on disk
	flushedAt atomic.Int64 // when that was last so, in milliseconds
	inMemory  atomic.Int64 // end as far as flush.messages lets it count as acknowledged without the disk
	watermark atomic.Int64 // for the replica layer
	force     atomic.Bool  // the next sync goes to the disk whatever flush.messages says
	onSynced  atomic.Pointer[func(record.Offset)]

	syncState syncState // belongs to the syncer

	syncMu  sync.Mutex    // guards changed
	changed chan struct{} // closed when flushed or inMemory change; nil when nobody waits

	checkpointed record.Offset // end at the last checkpoint; belongs to Dir.checkpointMu
}

// Partition names the log.
func (l *Log) Partition() Partition { return l.partition }

// TopicID is the id in partition.metadata.
func (l *Log) TopicID() TopicID { return l.topicID }

// Config returns the settings.
func (l *Log) Config() LogConfig { return *l.config.Load() }

// SetConfig changes the settings from the next append on.
func (l *Log) SetConfig(c LogConfig) {
	l.config.Store(&c)
	l.dir.syncer.add(l) // a stricter flush.messages wants the disk now
}

// StartOffset is the first offset that may be read.
func (l *Log) StartOffset() record.Offset {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.start
}

// EndOffset is the offset that the next record will get.
func (l *Log) EndOffset() record.Offset {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.end
}

// SyncedOffset is the offset below which every record may be acknowledged: those on disk
// with flush.messages=1, all appended ones in page-cache mode.
func (l *Log) SyncedOffset() record.Offset {
	return record.Offset(max(l.flushed.Load(), l.inMemory.Load()))
}

// FlushedOffset is the offset below which everything is on disk, whatever flush.messages says.
func (l *Log) FlushedOffset() record.Offset { return record.Offset(l.flushed.Load()) }

// OnSynced sets the function that is told each new SyncedOffset. It is called from the syncer's
// goroutine, in order, without locks held, and must not block.
func (l *Log) OnSynced(f func(record.Offset)) { l.onSynced.Store(&f) }

// WaitSynced returns when everything below through may be acknowledged (see SyncedOffset).
// Every append starts the sync by itself, there is no need to ask for it.
func (l *Log) WaitSynced(ctx context.Context, through record.Offset) error {
	return l.wait(ctx, l.SyncedOffset, through)
}

// flush returns when everything that is in the log now is on disk, whatever flush.messages says.
func (l *Log) flush() error {
	end := l.EndOffset()
	if l.FlushedOffset() >= end {
		return nil
	}
	l.force.Store(true)
	l.dir.syncer.add(l)
	return l.wait(context.Background(), l.FlushedOffset, end)
}

func (l *Log) wait(ctx context.Context, reached func() record.Offset, through record.Offset) error {
	for reached() < through {
		l.syncMu.Lock()
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.syncMu.Unlock()
		if reached() >= through {
			return nil
		}
		if err := l.usable(); err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// wake lets everybody in WaitSynced look again.
func (l *Log) wake() {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// usable returns why the log cannot be used, nil if it can.
func (l *Log) usable() error {
	if err := l.dir.Err(); err != nil {
		return err
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return ErrClosed
	}
	return nil
}

// LatestEpoch is the leader epoch of the last append, or the last one assigned; -1 if there was none.
func (l *Log) LatestEpoch() record.Epoch { return l.epochsNow().latest() }

// EpochAt is the leader epoch of the record at an offset, -1 if unknown.
func (l *Log) EpochAt(o record.Offset) record.Epoch { return l.epochsNow().at(o) }

// EpochEnd answers OffsetForLeaderEpoch: the largest epoch not above the one asked for, and where
// it ends. Both are -1 when the epoch is not known here.
func (l *Log) EpochEnd(e record.Epoch) (record.Epoch, record.Offset) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.epochs.end(e, l.end)
}

func (l *Log) epochsNow() epochs {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.epochs
}

// AssignEpoch notes that a leader epoch starts at the end of the log, before any record of it.
// The next checkpoint writes it down.
func (l *Log) AssignEpoch(e record.Epoch) error {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if latest := l.epochs.latest(); e < latest {
		return ErrLeaderEpoch
	}
	l.assignEpoch(e, l.end)
	return nil
}

// assignEpoch is called with mu held.
func (l *Log) assignEpoch(e record.Epoch, start record.Offset) {
	if e > l.epochs.latest() {
		l.epochs = l.epochs.assign(e, start)
		l.newEpochs = true
	}
}

// saveEpochs writes leader-epoch-checkpoint if it has changed.
func (l *Log) saveEpochs() error {
	l.mu.Lock()
	e, changed := l.epochs, l.newEpochs
	l.newEpochs = false
	l.mu.Unlock()
	if !changed {
		return nil
	}
	return writeFile(l.dir.fs, filepath.Join(l.path, epochFile), e.encode())
}

// Size is the size of all segments in bytes.
func (l *Log) Size() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var size int64
	for _, s := range l.segments {
		size += s.size
	}
	return size
}

// Segments is the number of segments.
func (l *Log) Segments() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.segments)
}

// SetHighWatermark keeps the replica layer's high watermark for the next checkpoint, and lets the
// transactions go whose markers are below it.
func (l *Log) SetHighWatermark(o record.Offset) {
	l.watermark.Store(int64(o))
	l.unstable.settle(o)
}

// HighWatermark is what SetHighWatermark was last given, or the checkpoint at opening.
func (l *Log) HighWatermark() record.Offset { return record.Offset(l.watermark.Load()) }

// ProducerState is one active producer of the log (DescribeProducers).
type ProducerState struct {
	ID               int64
	Epoch            int16
	LastSequence     int32
	LastTimestamp    int64
	CoordinatorEpoch int32         // of the last marker, -1 if there was none
	TxnFirst         record.Offset // where its open transaction begins, -1 if none is
}

// Producers lists the active producers in order of their ids.
func (l *Log) Producers() []ProducerState {
	l.appendMu.Lock()
	defer l.appendMu.Unlock()
	return l.producers.list()
}

// active is the last segment. The caller holds appendMu or mu.
func (l *Log) active() *segment { return l.segments[len(l.segments)-1] }
