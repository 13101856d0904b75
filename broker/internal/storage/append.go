package storage

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"syscall"
	"time"

	"millrace/broker/internal/record"
)

// Origin tells who appends.
type Origin int8

const (
	// FromClient applies all rules for clients: base offset 0, no control batches.
	FromClient Origin = iota
	// FromCoordinator is the broker writing for itself; control batches are allowed.
	FromCoordinator
)

// AppendOptions go with the batches of one Append.
type AppendOptions struct {
	LeaderEpoch record.Epoch
	Origin      Origin
	Now         time.Time // zero is the clock of the folder
	// Guard is what BeginVerify gave for the first batch of a transaction, zero if nothing.
	Guard Guard
	// TxnVersion is that of the transaction which a marker ends (KIP-890).
	TxnVersion int16
}

// AppendInfo is what a client is told about an append.
type AppendInfo struct {
	First, Last   record.Offset
	LogAppendTime int64         // milliseconds, -1 if the producer's timestamps stand
	Start         record.Offset // log start offset
	Records       int           // 0 for a duplicate
	Bytes         int           // as they are in the log
	Duplicate     bool          // the same producer and sequence were here before: First and Last are theirs
}

// Append checks the batches, gives them their offsets and hands them to the operating system.
// It does not wait for the disk: see WaitSynced(ctx, info.Last+1). The header fields of
// batches are patched in place; the bytes are not kept, the caller may use them again.
func (l *Log) Append(batches []byte, o AppendOptions) (AppendInfo, error) {
	if o.Now.IsZero() {
		o.Now = l.dir.now()
	}
	c := l.config.Load()
	lim := limits(c, o)
	sum, err := record.Check(batches, lim)
	if err == nil && c.Recompress && o.Origin == FromClient {
		if batches, err = recompress(batches, c.Codec, lim); err == nil {
			sum, err = record.Check(batches, record.Limits{MaxBatchBytes: lim.MaxBatchBytes}) // it may have grown
		}
	}
	if err != nil {
		return AppendInfo{}, err
	}
	if len(batches) > c.SegmentBytes {
		return AppendInfo{}, fmt.Errorf("%w: %d bytes, segment.bytes is %d", ErrListTooLarge, len(batches), c.SegmentBytes)
	}
	if err := prepare(batches, c, o); err != nil {
		return AppendInfo{}, err
	}
	l.appendMu.Lock()
	info, err := l.append(batches, c, o, sum)
	l.appendMu.Unlock()
	if err != nil || info.Duplicate {
		return info, err
	}
	l.dir.syncer.add(l)
	return info, nil
}

// limits are the topic's rules for package record.
func limits(c *LogConfig, o AppendOptions) record.Limits {
	lim := record.Limits{
		MaxBatchBytes: c.MaxMessageBytes,
		NeedKey:       c.Compact && o.Origin == FromClient,
		AllowControl:  o.Origin != FromClient,
		StampTime:     c.LogAppendTime && o.Origin == FromClient,
	}
	if !c.LogAppendTime && o.Origin == FromClient {
		now := o.Now.UnixMilli()
		lim.CheckTime = true
		lim.MaxTimestamp = math.MaxInt64
		if c.TimestampAfterMaxMs < math.MaxInt64-now {
			lim.MaxTimestamp = now + c.TimestampAfterMaxMs
		}
		lim.MinTimestamp = now - c.TimestampBeforeMaxMs // far below 0 when there is no limit
	}
	return lim
}

// recompress puts batches into the topic's codec (compression.type).
func recompress(batches []byte, codec record.Codec, lim record.Limits) ([]byte, error) {
	var out []byte
	for rest := batches; len(rest) > 0; {
		b := record.Batch(rest)
		b, rest = b[:b.Size()], rest[b.Size():]
		packed, err := b.Recompress(codec, lim)
		if err != nil {
			return nil, err
		}
		if len(rest) == 0 && out == nil {
			return packed, nil
		}
		out = append(out, packed...)
	}
	return out, nil
}

// prepare does what needs no offset, before the lock is taken.
func prepare(batches []byte, c *LogConfig, o AppendOptions) error {
	for rest := batches; len(rest) > 0; {
		b := record.Batch(rest)
		b, rest = b[:b.Size()], rest[b.Size():]
		if o.Origin == FromClient && b.BaseOffset() != 0 {
			return fmt.Errorf("%w: base offset of a produced batch is %d, not 0", record.ErrInvalid, b.BaseOffset())
		}
		if c.LogAppendTime && !b.Control() {
			b.SetLogAppendTime(o.Now.UnixMilli())
		}
	}
	return nil
}

func (l *Log) append(batches []byte, c *LogConfig, o AppendOptions, sum record.Summary) (AppendInfo, error) {
	if err := l.usable(); err != nil {
		return AppendInfo{}, err
	}
	if l.refused != nil {
		return AppendInfo{}, l.refused
	}
	if latest := l.epochs.latest(); o.LeaderEpoch < latest { // epochs change under appendMu only
		return AppendInfo{}, fmt.Errorf("%w: %d, log has %d", ErrLeaderEpoch, o.LeaderEpoch, latest)
	}
	info := AppendInfo{First: l.end, Last: l.end + record.Offset(sum.Records) - 1, LogAppendTime: -1, Start: l.start, Records: int(sum.Records), Bytes: len(batches)}
	if c.LogAppendTime {
		info.LogAppendTime = o.Now.UnixMilli()
	}
	duplicate, err := l.checkProducers(batches, o)
	if err != nil {
		return AppendInfo{}, err
	}
	if duplicate != nil {
		info.First, info.Last = duplicate.firstOffset(), duplicate.lastOffset
		info.Records, info.Bytes, info.Duplicate = 0, 0, true
		info.LogAppendTime = duplicate.timestamp // whoever's time it is, as in Kafka
		return info, nil
	}
	if info.Last < info.First {
		return AppendInfo{}, fmt.Errorf("%w: the log has no more offsets", record.ErrInvalid)
	}
	timestamp := sum.MaxTimestamp
	if c.LogAppendTime {
		timestamp = o.Now.UnixMilli()
	}
	if l.active().full(c, len(batches), info.Last, timestamp) {
		if err := l.roll(c); err != nil {
			return AppendInfo{}, l.dir.writeFailed(fmt.Errorf("roll %s at offset %d: %w", l.path, l.end, err))
		}
	}
	next := info.First
	for rest := batches; len(rest) > 0; {
		b := record.Batch(rest)
		b.SetBaseOffset(next)
		b.SetLeaderEpoch(o.LeaderEpoch)
		next, rest = b.NextOffset(), rest[b.Size():]
	}
	if err := l.active().write(batches); err != nil {
		return AppendInfo{}, l.dir.writeFailed(fmt.Errorf("append to %s at offset %d: %w", l.path, info.First, err))
	}
	if l.dir.full.Load() && l.dir.full.CompareAndSwap(true, false) {
		l.dir.event(slog.LevelInfo, "there is room on the disk again", "folder", l.dir.path)
	}
	l.publish(batches, c, o, next)
	return info, nil
}

// publish makes written batches part of the log.
func (l *Log) publish(batches []byte, c *LogConfig, o AppendOptions, next record.Offset) {
	s := l.active()
	cached := l.dir.cache.put(l, batches, l.end, o.Now)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.assignEpoch(o.LeaderEpoch, l.end)
	for rest := batches; len(rest) > 0; {
		b := record.Batch(rest)
		b, rest = b[:b.Size()], rest[b.Size():]
		l.addToProducers(b, s)
		s.note(b, s.size, c.IndexIntervalBytes)
		s.size += int64(len(b))
	}
	l.tail.publish(cached, len(batches), l.end, next)
	l.end = next
	l.unsynced = max(l.unsynced, 1)
	if c.FlushMessages > 1 {
		l.inMemory.Store(int64(next))
	}
}

// writeFailed decides what a failed write means. A full disk is the caller's to report: what was
// there is intact and there may be room later. Anything else says that the disk is not to be trusted.
func (d *Dir) writeFailed(err error) error {
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, errDiskQuota)
	if full && !errors.Is(err, errTornAppend) {
		if d.full.CompareAndSwap(false, true) {
			d.warn("the disk is full, records are refused", "folder", d.path, "error", err)
		}
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return d.fail(err)
}

// roll closes the active segment and begins the next at the end of the log. With
// flush.messages=1 the old one is synced first, so that whatever a crash leaves of the new one, the
// old one is complete.
func (l *Log) roll(c *LogConfig) error {
	old := l.active()
	if err := old.seal(); err != nil {
		return err
	}
	if c.FlushMessages <= 1 {
		if err := l.syncSegment(old); err != nil {
			return l.dir.fail(err)
		}
	}
	if err := l.writeSnapshot(l.end); err != nil {
		return err
	}
	s, err := createSegment(l.dir.fs, l.path, l.end, "")
	if err != nil {
		return err
	}
	s.jitter = c.jitter()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments = append(l.segments[:len(l.segments):len(l.segments)], s)
	l.newNames = true
	l.unsynced++
	return nil
}

// syncSegment makes the bytes of a segment durable.
func (l *Log) syncSegment(s *segment) error {
	f, err := s.open()
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return fmt.Errorf("sync %s: %w", filepath.Join(l.path, offsetName(int64(s.base), logSuffix)), err)
	}
	return nil
}
