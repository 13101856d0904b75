package storage

import (
	"context"
	"errors"
	"time"

	"millrace/broker/internal/record"
)

// Log is the records of one partition. All methods may be called from any goroutine.
type Log struct{}

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
}

// AppendInfo is what a client is told about an append.
type AppendInfo struct {
	First, Last   record.Offset
	LogAppendTime int64         // milliseconds, -1 if the producer's timestamps stand
	Start         record.Offset // log start offset
	Records       int           // 0 for a duplicate
	Duplicate     bool          // the same producer and sequence were here before: First and Last are theirs
}

// Append checks the batches, gives them their offsets and hands them to the operating system.
// It does not wait for the disk: see WaitSynced(ctx, info.Last+1). The header fields of
// batches are patched in place; the bytes are not kept, the caller may use them again.
func (l *Log) Append(batches []byte, o AppendOptions) (AppendInfo, error) {
	return AppendInfo{}, errors.ErrUnsupported
}

// WaitSynced returns when everything below through may be acknowledged (see SyncedOffset).
// Waiting starts the sync, there is no need to ask for it.
func (l *Log) WaitSynced(ctx context.Context, through record.Offset) error {
	return errors.ErrUnsupported
}

// OnSynced sets the function that is told each new SyncedOffset. It is called from the syncer's
// goroutine, in order, without locks held, and must not block.
func (l *Log) OnSynced(f func(record.Offset)) {}

// SyncedOffset is the offset below which every record may be acknowledged: those on disk
// with flush.messages=1, all appended ones in page-cache mode.
func (l *Log) SyncedOffset() record.Offset { return 0 }

// StartOffset is the first offset that may be read.
func (l *Log) StartOffset() record.Offset { return 0 }

// EndOffset is the offset that the next record will get.
func (l *Log) EndOffset() record.Offset { return 0 }

// Read returns whole batches from the one that contains offset from, at most maxBytes of them and
// only such whose records are all below upTo. With minOne the first batch is returned whatever its size.
// At from == EndOffset, or when nothing fits, the span is empty. The caller calls Release on it.
// It returns *OffsetRangeError when from is below StartOffset or above EndOffset.
func (l *Log) Read(from record.Offset, maxBytes int, upTo record.Offset, minOne bool) (Span, error) {
	return Span{}, errors.ErrUnsupported
}

// Replay calls f with each batch from the one that contains offset from up to the end as it was
// at the call, checksums checked. The batch is f's only until it returns. An error of f ends it.
func (l *Log) Replay(from record.Offset, f func(record.Batch) error) error {
	return errors.ErrUnsupported
}

// TimestampOffset is where a record with a timestamp is.
type TimestampOffset struct {
	Offset      record.Offset // -1: there is none
	Timestamp   int64         // milliseconds
	LeaderEpoch record.Epoch
}

// OffsetForTime finds the first record with a timestamp of at least ms (ListOffsets); Offset is -1 if
// there is none.
func (l *Log) OffsetForTime(ms int64) (TimestampOffset, error) {
	return TimestampOffset{}, errors.ErrUnsupported
}

// OffsetForMaxTime finds the record with the largest timestamp (ListOffsets with -3, KIP-734).
func (l *Log) OffsetForMaxTime() (TimestampOffset, error) {
	return TimestampOffset{}, errors.ErrUnsupported
}

// LatestEpoch is the leader epoch of the last append, or the last one assigned; -1 if there was none.
func (l *Log) LatestEpoch() record.Epoch { return -1 }

// EpochAt is the leader epoch of the record at an offset, -1 if unknown.
func (l *Log) EpochAt(o record.Offset) record.Epoch { return -1 }

// EpochEnd answers OffsetForLeaderEpoch: the largest epoch not above the one asked for, and where
// it ends. Both are -1 when the epoch is not known here.
func (l *Log) EpochEnd(e record.Epoch) (record.Epoch, record.Offset) { return -1, -1 }

// AssignEpoch notes that a leader epoch starts at the end of the log, before any record of it.
func (l *Log) AssignEpoch(e record.Epoch) error { return errors.ErrUnsupported }

// DeleteBefore raises the log start offset (DeleteRecords) and removes the segments below it. It is
// durable when it returns. It returns *OffsetRangeError when the offset is above SyncedOffset.
func (l *Log) DeleteBefore(o record.Offset) (start record.Offset, err error) {
	return 0, errors.ErrUnsupported
}

// Retain removes segments by retention.ms and retention.bytes and returns how many. The folder does
// this by itself every RetentionInterval.
func (l *Log) Retain(now time.Time) (int, error) { return 0, errors.ErrUnsupported }

// SetConfig changes the settings from the next append on.
func (l *Log) SetConfig(c LogConfig) {}

// Config returns the settings.
func (l *Log) Config() LogConfig { return LogConfig{} }

// Partition names the log.
func (l *Log) Partition() Partition { return Partition{} }

// TopicID is the id in partition.metadata.
func (l *Log) TopicID() TopicID { return TopicID{} }

// Size is the size of all segments in bytes.
func (l *Log) Size() int64 { return 0 }

// Segments is the number of segments.
func (l *Log) Segments() int { return 0 }

// SetHighWatermark keeps the replica layer's high watermark for the next checkpoint.
func (l *Log) SetHighWatermark(o record.Offset) {}

// HighWatermark is what SetHighWatermark was last given, or the checkpoint at opening.
func (l *Log) HighWatermark() record.Offset { return 0 }

// ProducerState is one active producer of the log (DescribeProducers).
type ProducerState struct {
	ID            int64
	Epoch         int16
	LastSequence  int32
	LastTimestamp int64
}

// Producers lists the active producers in order of their ids.
func (l *Log) Producers() []ProducerState { return nil }
