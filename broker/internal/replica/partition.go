package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"millrace/broker/internal/cluster"
	"millrace/broker/internal/config"
	"millrace/broker/internal/record"
	"millrace/broker/internal/storage"
)

var (
	// ErrUnknown is returned for a partition that does not exist (UNKNOWN_TOPIC_OR_PARTITION).
	ErrUnknown = errors.New("no such partition")
	// ErrNotLeader is returned where another broker leads (NOT_LEADER_OR_FOLLOWER).
	ErrNotLeader = errors.New("this broker does not lead the partition")
	// ErrFencedEpoch is returned for a leader epoch that has passed (FENCED_LEADER_EPOCH).
	ErrFencedEpoch = errors.New("leader epoch has passed")
	// ErrUnknownEpoch is returned for a leader epoch that is not known here yet (UNKNOWN_LEADER_EPOCH).
	ErrUnknownEpoch = errors.New("leader epoch is not known yet")
	// ErrStorage is returned when the log cannot be opened (KAFKA_STORAGE_ERROR).
	ErrStorage = errors.New("log cannot be opened")
)

// Partition is this broker's copy of a partition that it leads.
type Partition struct {
	Name storage.Partition
	ID   cluster.TopicID

	manager *Manager
	topic   atomic.Pointer[cluster.Topic] // as the metadata has it now
	epoch   atomic.Int32                  // leader epoch
	leads   atomic.Bool

	opening sync.Mutex // held while the log is opened
	log     atomic.Pointer[storage.Log]
	failed  error // why opening failed; guarded by opening

	high atomic.Int64 // high watermark

	mu       sync.Mutex    // guards all below
	gone     bool          // deleted or closed
	readable int64         // bytes appended since opening that are below the high watermark
	stable   record.Offset // last stable offset as the waiters were told last
	unsynced []appended    // appends above the high watermark, by offset
	waiters  []*Waiter
}

// appended notes the size of an append, to know how much a moved high watermark lets be read.
type appended struct {
	next record.Offset
	size int64
}

func newPartition(m *Manager, t *cluster.Topic, index int32) *Partition {
	p := &Partition{Name: storage.Partition{Topic: t.Name, Index: index}, ID: t.ID, manager: m}
	p.follow(t)
	return p
}

// follow takes over what the metadata says now.
func (p *Partition) follow(t *cluster.Topic) {
	meta := t.Partition(p.Name.Index)
	p.topic.Store(t)
	p.leads.Store(meta.Leader == p.manager.nodeID)
	changed := p.epoch.Swap(meta.LeaderEpoch) != meta.LeaderEpoch
	log := p.log.Load()
	if log == nil {
		return
	}
	log.SetConfig(LogConfig(t.Config))
	if changed {
		p.assignEpoch(log)
		p.wakeAll()
	}
}

// Topic is what the metadata says of the partition's topic.
func (p *Partition) Topic() *cluster.Topic { return p.topic.Load() }

// LeaderEpoch counts the leaders that the partition has had.
func (p *Partition) LeaderEpoch() record.Epoch { return record.Epoch(p.epoch.Load()) }

// HighWatermark is the offset below which everything is safe, and may be read.
func (p *Partition) HighWatermark() record.Offset { return record.Offset(p.high.Load()) }

// LastStableOffset is the offset below which every transaction is decided. Readers of
// committed records read no further.
func (p *Partition) LastStableOffset() record.Offset {
	hw := p.HighWatermark()
	return p.log.Load().LastStableOffset(hw)
}

// StartOffset is the first offset that may be read.
func (p *Partition) StartOffset() record.Offset { return p.log.Load().StartOffset() }

// EndOffset is the offset that the next record will get.
func (p *Partition) EndOffset() record.Offset { return p.log.Load().EndOffset() }

// Log is the partition's log.
func (p *Partition) Log() *storage.Log { return p.log.Load() }

// CheckEpoch compares the leader epoch that a client knows, -1 if none, with ours.
func (p *Partition) CheckEpoch(known int32) error {
	switch ours := p.epoch.Load(); {
	case known == -1 || known == ours: // another negative one is of the past, as any
		return nil
	case known < ours:
		return ErrFencedEpoch
	default:
		return ErrUnknownEpoch
	}
}

// Append hands batches to the log. They are safe once WaitCommitted(ctx, info.Last+1) returns.
// The bytes may be used again when Append returns. The leader epoch of o is set here.
func (p *Partition) Append(batches []byte, o storage.AppendOptions) (storage.AppendInfo, error) {
	o.LeaderEpoch = p.LeaderEpoch()
	info, err := p.log.Load().Append(batches, o)
	if err != nil || info.Duplicate {
		return info, err
	}
	p.noteAppend(info.Last+1, int64(info.Bytes))
	return info, nil
}

// noteAppend remembers an append's size until the high watermark has passed it,
// which may be the case already.
func (p *Partition) noteAppend(next record.Offset, size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if next <= p.HighWatermark() {
		p.nowReadable(size)
		return
	}
	at := len(p.unsynced)
	for at > 0 && p.unsynced[at-1].next > next {
		at--
	}
	p.unsynced = slices.Insert(p.unsynced, at, appended{next, size})
}

// WaitCommitted returns when everything below through is safe. For a duplicate,
// through lies below the high watermark already.
func (p *Partition) WaitCommitted(ctx context.Context, through record.Offset) error {
	if p.HighWatermark() >= through {
		return nil
	}
	log := p.log.Load()
	if err := log.WaitSynced(ctx, through); err != nil {
		return err
	}
	p.advance(log, log.SyncedOffset())
	return nil
}

// advance moves the high watermark. It never goes back.
func (p *Partition) advance(log *storage.Log, to record.Offset) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if to <= p.HighWatermark() {
		return
	}
	p.high.Store(int64(to))
	log.SetHighWatermark(to)
	var size int64
	n := 0
	for n < len(p.unsynced) && p.unsynced[n].next <= to {
		size += p.unsynced[n].size
		n++
	}
	p.unsynced = slices.Delete(p.unsynced, 0, n)
	if size > 0 {
		p.nowReadable(size)
	}
	p.nowStable(log)
}

// nowStable tells those who wait for committed records that more are decided; mu is held.
func (p *Partition) nowStable(log *storage.Log) {
	stable := log.LastStableOffset(p.HighWatermark())
	if stable <= p.stable {
		return
	}
	p.stable = stable
	for _, w := range p.waiters {
		if w.committed {
			w.fire()
		}
	}
}

// nowReadable tells the waiters of bytes that may be read; mu is held.
func (p *Partition) nowReadable(size int64) {
	p.readable += size
	for _, w := range p.waiters {
		if !w.committed {
			w.arrived(size)
		}
	}
}

// Read returns batches from the one that contains from, up to the high watermark, or
// with committed up to the last stable offset. The span is the caller's to release.
// at says how far the partition went.
func (p *Partition) Read(from record.Offset, maxBytes int, minOne, committed bool) (span storage.Span, at Position, err error) {
	log := p.log.Load()
	at.HighWatermark = p.HighWatermark()
	at.LastStable = log.LastStableOffset(at.HighWatermark)
	upTo := at.HighWatermark
	if committed {
		upTo = at.LastStable
	}
	span, err = log.Read(from, maxBytes, upTo, minOne)
	return span, at, err
}

// Position is how far a partition went at one moment.
type Position struct {
	HighWatermark record.Offset
	LastStable    record.Offset
}

// DeleteBefore raises the log start offset; -1 stands for the high watermark (DeleteRecords).
func (p *Partition) DeleteBefore(offset record.Offset) (start record.Offset, err error) {
	hw := p.HighWatermark()
	if offset == -1 {
		offset = hw
	}
	if offset < 0 || offset > hw {
		return -1, &storage.OffsetRangeError{Offset: offset, Start: p.StartOffset(), End: hw}
	}
	log := p.log.Load()
	start, err = log.DeleteBefore(offset)
	p.mu.Lock()
	p.nowStable(log) // what an open transaction had before the start keeps nobody back
	p.mu.Unlock()
	return start, err
}

// open makes sure that the log is there.
func (p *Partition) open() error {
	if p.log.Load() != nil {
		return nil
	}
	p.opening.Lock()
	defer p.opening.Unlock()
	if p.log.Load() != nil {
		return nil
	}
	if p.failed != nil {
		return p.failed
	}
	p.mu.Lock()
	gone := p.gone
	p.mu.Unlock()
	if gone {
		return ErrUnknown
	}
	log, err := p.manager.openLog(p)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrStorage, err)
		p.manager.log.Error("partition cannot be opened", "topic", p.Name.Topic, "partition", p.Name.Index, "error", err)
		if errors.Is(err, storage.ErrCorrupted) || errors.Is(err, storage.ErrOffline) {
			p.failed = err
		}
		return err
	}
	p.assignEpoch(log)
	log.OnSynced(func(o record.Offset) { p.advance(log, o) })
	p.advance(log, log.SyncedOffset())
	p.log.Store(log)
	return nil
}

// assignEpoch notes where our leader epoch starts in the log (KIP-101).
func (p *Partition) assignEpoch(log *storage.Log) {
	if epoch := p.LeaderEpoch(); log.LatestEpoch() < epoch {
		if err := log.AssignEpoch(epoch); err != nil {
			p.manager.log.Error("leader epoch cannot be noted", "topic", p.Name.Topic, "partition", p.Name.Index, "error", err)
		}
	}
}

// leave ends all waiting: the partition was deleted, or the broker stops.
func (p *Partition) leave() {
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	p.wakeAll()
}

// Gone reports whether the partition was deleted or closed.
func (p *Partition) Gone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone
}

// LogConfig picks the settings that storage obeys.
func LogConfig(c *config.Topic) storage.LogConfig {
	codec, recompress := c.Codec()
	return storage.LogConfig{
		Recompress:           recompress,
		Codec:                record.Codec{Compression: record.ParseCompression(codec.Name), Level: codec.Level},
		SegmentBytes:         int(c.SegmentBytes),
		SegmentMs:            c.SegmentMs,
		SegmentJitterMs:      c.SegmentJitterMs,
		SegmentIndexBytes:    int(c.SegmentIndexBytes),
		IndexIntervalBytes:   int(c.IndexIntervalBytes),
		RetentionMs:          c.RetentionMs,
		RetentionBytes:       c.RetentionBytes,
		MaxMessageBytes:      int(c.MaxMessageBytes),
		LogAppendTime:        c.LogAppendTime(),
		TimestampBeforeMaxMs: c.MessageTimestampBeforeMaxMs,
		TimestampAfterMaxMs:  c.MessageTimestampAfterMaxMs,
		Delete:               c.Delete(),
		Compact:              c.Compact(),
		MinCleanableRatio:    c.MinCleanableDirtyRatio,
		MinCompactionLag:     c.MinCompactionLagMs,
		MaxCompactionLag:     c.MaxCompactionLagMs,
		DeleteRetentionMs:    c.DeleteRetentionMs,
		FileDeleteDelayMs:    c.FileDeleteDelayMs,
		FlushMessages:        c.FlushMessages,
		FlushMs:              c.FlushMs,
	}
}
