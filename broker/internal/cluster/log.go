package cluster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"millrace/broker/internal/config"
	"millrace/broker/internal/record"
	"millrace/broker/internal/storage"
)

// partitionLog is what is needed of a storage.Log.
type partitionLog interface {
	Append(batches []byte, o storage.AppendOptions) (storage.AppendInfo, error)
	WaitSynced(ctx context.Context, through record.Offset) error
	Replay(from record.Offset, f func(record.Batch) error) error
	DeleteBefore(o record.Offset) (record.Offset, error)
	StartOffset() record.Offset
	EndOffset() record.Offset
}

const (
	// metadataSegmentBytes bounds one segment and so one batch. A snapshot of 20,000
	// partitions has about 3 MB before compression.
	metadataSegmentBytes = 32 << 20
	// A snapshot is written when so much has come since the last one, and snapshotRatio
	// times what that one took.
	snapshotMinBytes = 1 << 20
	snapshotRatio    = 4
)

// metadataLogConfig keeps everything until a snapshot allows to drop it.
func metadataLogConfig() storage.LogConfig {
	c := storage.DefaultLogConfig()
	c.SegmentBytes, c.MaxMessageBytes = metadataSegmentBytes, metadataSegmentBytes
	c.SegmentMs, c.RetentionMs, c.RetentionBytes = math.MaxInt64, -1, -1
	c.TimestampAfterMaxMs = math.MaxInt64
	c.FlushMessages = 1
	return c
}

// commandLog reads and writes commands as records.
type commandLog struct {
	log      partitionLog
	builder  record.Builder
	since    int // bytes since the last snapshot
	snapshot int // bytes of the last snapshot
}

func (l *commandLog) end() int64 { return int64(l.log.EndOffset()) }

// load applies the log from its last snapshot on.
func (l *commandLog) load(c *config.Broker) (*Image, error) {
	var commands []Command
	var sizes []int
	first := int64(-1)
	err := l.log.Replay(l.log.StartOffset(), func(b record.Batch) error {
		for r, err := range b.Records(metadataSegmentBytes * 2) {
			if err != nil {
				return err
			}
			command, err := DecodeCommand(r.Value)
			if err != nil {
				return fmt.Errorf("offset %d: %w", r.Offset, err)
			}
			if first < 0 {
				first = int64(r.Offset)
			}
			if want := first + int64(len(commands)); int64(r.Offset) != want {
				return fmt.Errorf("%w: offset %d follows %d", ErrBadCommand, r.Offset, want-1)
			}
			commands = append(commands, command)
			sizes = append(sizes, 0)
		}
		sizes[len(sizes)-1] = len(b)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(commands) == 0 {
		if l.end() != 0 {
			return nil, fmt.Errorf("%w: the log is empty and ends at offset %d", ErrBadCommand, l.end())
		}
		return NewImage(c), nil
	}
	begin := lastSnapshot(commands)
	if begin < 0 {
		begin = 0
		if first != 0 {
			return nil, fmt.Errorf("%w: the log starts at offset %d without a snapshot", ErrBadCommand, first)
		}
	}
	for n, size := range sizes[begin:] {
		if size > 0 && l.snapshot == 0 && commands[begin].Snapshot != nil {
			l.snapshot = size
		} else if n >= 0 {
			l.since += size
		}
	}
	return Apply(NewImage(c), first+int64(begin), commands[begin:]...)
}

// append writes commands as one batch and returns when they are on disk.
func (l *commandLog) append(ctx context.Context, commands []Command) error {
	size, err := l.write(ctx, commands)
	l.since += size
	return err
}

func (l *commandLog) write(ctx context.Context, commands []Command) (int, error) {
	now := time.Now()
	for _, c := range commands {
		l.builder.Add(now.UnixMilli(), nil, c.Encode())
	}
	l.builder.Compression = 0
	if l.builder.Size() > snapshotMinBytes/4 {
		l.builder.Compression = record.Zstd
	}
	want := l.log.EndOffset()
	batch, err := l.builder.Build()
	if err != nil {
		return 0, err
	}
	info, err := l.log.Append(batch, storage.AppendOptions{Origin: storage.FromCoordinator, Now: now})
	if err != nil {
		return 0, err
	}
	if info.First != want {
		return 0, fmt.Errorf("metadata log: appended at offset %d, expected %d: somebody else writes to it", info.First, want)
	}
	return len(batch), l.log.WaitSynced(ctx, info.Last+1)
}

// compact writes a snapshot when the log has grown enough for it.
func (l *commandLog) compact(ctx context.Context, image *Image) error {
	if l.since < snapshotMinBytes || l.since < snapshotRatio*l.snapshot {
		return nil
	}
	begin := l.log.EndOffset()
	size, err := l.write(ctx, image.snapshot())
	if errors.Is(err, storage.ErrListTooLarge) || errors.Is(err, record.ErrTooLarge) {
		l.since = 0 // it does not fit: go on without, try again much later
		return nil
	}
	if err != nil {
		return err
	}
	l.snapshot, l.since = size, 0
	// What is left of the old commands is only a matter of space.
	if _, err := l.log.DeleteBefore(begin); err != nil {
		return fmt.Errorf("drop old metadata: %w", err)
	}
	return nil
}
