package storage

import (
	"errors"
	"time"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

// DirOptions configure a data folder. The zero value is good, for a new folder too.
type DirOptions struct {
	NodeID    int32  // written to a new meta.properties; must match an old one; 0 is 1
	ClusterID string // the same; "" takes what is there, or makes a new one

	CacheBytes int64 // memory for the tails of all logs together; 0 is 8 MiB, negative is none

	// CheckpointInterval is log.flush.offset.checkpoint.interval.ms, 0 is a minute;
	// RetentionInterval is log.retention.check.interval.ms, 0 is five minutes; negative is never.
	CheckpointInterval time.Duration
	RetentionInterval  time.Duration
	// ProducerExpiry is producer.id.expiration.ms, 0 is a day.
	ProducerExpiry time.Duration

	Now   func() time.Time // nil is time.Now
	Event func(Event)      // nil drops events; called from any goroutine, must not call back
}

// Dir is a data folder: the logs of one broker on one disk.
type Dir struct{}

// OpenDir locks a data folder, making it if need be, and decides whether it was closed in order.
func OpenDir(fsys vfs.FS, path string, o DirOptions) (*Dir, error) { return nil, errors.ErrUnsupported }

// ClusterID is the id in meta.properties, 22 characters.
func (d *Dir) ClusterID() string { return "" }

// NodeID is the broker id in meta.properties.
func (d *Dir) NodeID() int32 { return 0 }

// Partitions lists the logs that the folder holds, open or not.
func (d *Dir) Partitions() ([]Partition, error) { return nil, errors.ErrUnsupported }

// Create makes a new log. It returns ErrExists if there is one.
func (d *Dir) Create(p Partition, id TopicID, c LogConfig) (*Log, error) {
	return nil, errors.ErrUnsupported
}

// Open opens a log, recovering it if the folder was not closed in order. It returns
// ErrNotFound, or a *CorruptionError; then the other logs are still usable.
func (d *Dir) Open(p Partition, c LogConfig) (*Log, error) { return nil, errors.ErrUnsupported }

// OpenOrCreate opens the log of that topic id or makes it. It returns ErrTopicID when
// the folder belongs to another topic id: Delete it first.
func (d *Dir) OpenOrCreate(p Partition, id TopicID, c LogConfig) (*Log, error) {
	return nil, errors.ErrUnsupported
}

// Log returns an open log, nil if it is not open.
func (d *Dir) Log(p Partition) *Log { return nil }

// Logs returns the open logs.
func (d *Dir) Logs() []*Log { return nil }

// Delete closes a log, open or not, and removes its folder: renamed now, removed in the background.
func (d *Dir) Delete(p Partition) error { return errors.ErrUnsupported }

// Checkpoint writes recovery points, log starts and high watermarks.
func (d *Dir) Checkpoint() error { return errors.ErrUnsupported }

// Err tells why the folder is offline, nil if it is not.
func (d *Dir) Err() error { return nil }

// Close syncs all logs, writes checkpoints and the clean-shutdown marker and lets go of the lock.
// It may be called twice.
func (d *Dir) Close() error { return errors.ErrUnsupported }

// Crash lets go of the folder as kill -9 would: nothing is synced or written. For tests of recovery.
func (d *Dir) Crash() {}

var _ record.Offset
