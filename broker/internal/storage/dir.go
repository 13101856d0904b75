package storage

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

// DirOptions configure a data folder. The zero value is good, for a new folder too.
type DirOptions struct {
	NodeID    int32  // written to a new meta.properties; must match an old one; 0 takes what is there, or 1
	ClusterID string // the same; "" takes what is there, or makes a new one

	CacheBytes int64 // memory for the tails of all logs together; 0 is 8 MiB, negative is none

	// CheckpointInterval is log.flush.offset.checkpoint.interval.ms, 0 is a minute;
	// RetentionInterval is log.retention.check.interval.ms, 0 is five minutes; negative is never.
	CheckpointInterval time.Duration
	RetentionInterval  time.Duration
	// ProducerExpiry is producer.id.expiration.ms, 0 is a day.
	ProducerExpiry time.Duration

	// Cleaner is about log compaction.
	Cleaner CleanerOptions

	Now   func() time.Time // nil is time.Now
	Event func(Event)      // nil drops events; called from any goroutine, must not call back
}

func (o *DirOptions) setDefaults() {
	if o.CacheBytes == 0 {
		o.CacheBytes = 8 << 20
	}
	if o.CheckpointInterval == 0 {
		o.CheckpointInterval = time.Minute
	}
	if o.RetentionInterval == 0 {
		o.RetentionInterval = 5 * time.Minute
	}
	if o.ProducerExpiry == 0 {
		o.ProducerExpiry = 24 * time.Hour
	}
	o.Cleaner.setDefaults()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Event == nil {
		o.Event = func(Event) {}
	}
}

// Dir is a data folder: the logs of one broker on one disk.
//
// openMu comes before checkpointMu, and that before the locks of a log; mu is held for a few instructions only and
// nothing is locked under it.
type Dir struct {
	fs       vfs.FS
	path     string
	options  DirOptions
	identity identity
	lock     io.Closer
	clean    bool // it was closed in order
	syncer   syncer
	cache    tailCache
	offline  atomic.Pointer[error]
	full     atomic.Bool // the last append found no room

	checkpointMu sync.Mutex        // guards the checkpoint files, and saved
	saved        map[string]string // what they contain, by name
	openMu       sync.Mutex        // one log is created, opened or deleted at a time

	mu     sync.Mutex // guards what follows
	logs   map[Partition]*Log
	closed bool
	// From the checkpoints. Of a log that is not open they are kept for the next checkpoint.
	points, starts, watermarks map[Partition]record.Offset
	cleaned                    map[Partition]record.Offset // up to where each log was compacted

	doomed []doomedFile

	cleaners cleaners

	stop       chan struct{}
	background sync.WaitGroup
}

// OpenDir locks a data folder, making it if need be, and decides whether it was closed in order.
func OpenDir(fsys vfs.FS, path string, o DirOptions) (*Dir, error) {
	o.setDefaults()
	d := &Dir{
		fs: fsys, path: path, options: o, logs: map[Partition]*Log{}, saved: map[string]string{}, stop: make(chan struct{}),
		cache: tailCache{budget: o.CacheBytes},
	}
	if err := fsys.MkdirAll(path); err != nil {
		return nil, err
	}
	// The folder's own name has to survive a power cut too.
	if err := fsys.SyncDir(filepath.Dir(path)); err != nil {
		return nil, err
	}
	lock, err := fsys.Lock(filepath.Join(path, lockFile))
	if err != nil {
		return nil, err
	}
	d.lock = lock
	if err := d.load(); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("open data folder: %w", err)
	}
	d.background.Go(d.keepHouse)
	d.SetCleaner(o.Cleaner)
	return d, nil
}

// load reads what the folder knows of itself.
func (d *Dir) load() (err error) {
	if d.identity, err = loadIdentity(d.fs, d.path, d.options.NodeID, d.options.ClusterID); err != nil {
		return err
	}
	if d.points, err = d.readOffsets(recoveryPointFile); err != nil {
		return err
	}
	if d.starts, err = d.readOffsets(logStartFile); err != nil {
		return err
	}
	if d.watermarks, err = d.readOffsets(highWatermarkFile); err != nil {
		return err
	}
	if d.cleaned, err = d.readOffsets(cleanerFile); err != nil {
		return err
	}
	marker := filepath.Join(d.path, cleanShutdownFile)
	if d.clean, err = vfs.Exists(d.fs, marker); err != nil || !d.clean {
		return err
	}
	// From here on a crash is a crash: the marker is gone for good before anything is written.
	if err := d.fs.Remove(marker); err != nil {
		return err
	}
	return d.fs.SyncDir(d.path)
}

// ClusterID is the id in meta.properties, 22 characters.
func (d *Dir) ClusterID() string { return d.identity.clusterID }

// NodeID is the broker id in meta.properties.
func (d *Dir) NodeID() int32 { return d.identity.nodeID }

// DirectoryID is the id of this folder in meta.properties, 22 characters (KIP-858).
func (d *Dir) DirectoryID() string { return d.identity.directoryID }

// Space tells the size of the disk that the folder is on and what is free of it, in bytes.
func (d *Dir) Space() (total, usable int64, err error) { return d.fs.Space(d.path) }

// FS is where the folder is.
func (d *Dir) FS() vfs.FS { return d.fs }

// Path is the folder.
func (d *Dir) Path() string { return d.path }

// CleanStart tells whether the folder had been closed in order before it was opened.
func (d *Dir) CleanStart() bool { return d.clean }

// Partitions lists the logs that the folder holds, open or not.
func (d *Dir) Partitions() ([]Partition, error) {
	entries, err := d.fs.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var list []Partition
	for _, e := range entries {
		if p, err := ParsePartition(e.Name()); err == nil && e.IsDir() && !strings.HasSuffix(e.Name(), deletedFolderTail) {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, Partition.compare)
	return list, nil
}

// Create makes a new log. It returns ErrExists if there is one.
func (d *Dir) Create(p Partition, id TopicID, c LogConfig) (*Log, error) {
	d.openMu.Lock()
	defer d.openMu.Unlock()
	return d.create(p, id, c)
}

func (d *Dir) create(p Partition, id TopicID, c LogConfig) (*Log, error) {
	there, err := vfs.Exists(d.fs, filepath.Join(d.path, p.String()))
	if err != nil {
		return nil, err
	}
	if there {
		return nil, fmt.Errorf("%w: %s", ErrExists, p)
	}
	return d.enter(p, func() (*Log, error) { return createLog(d, p, id, c, 0) })
}

// Open opens a log, recovering it if the folder was not closed in order. It returns
// ErrNotFound, or a *CorruptionError; then the other logs are still usable.
func (d *Dir) Open(p Partition, c LogConfig) (*Log, error) {
	d.openMu.Lock()
	defer d.openMu.Unlock()
	return d.open(p, c)
}

func (d *Dir) open(p Partition, c LogConfig) (*Log, error) {
	if l := d.Log(p); l != nil {
		return l, nil
	}
	there, err := vfs.Exists(d.fs, filepath.Join(d.path, p.String()))
	if err != nil {
		return nil, err
	}
	if !there {
		return nil, fmt.Errorf("%w: %s", ErrNotFound, p)
	}
	return d.enter(p, func() (*Log, error) { return loadLog(d, p, c) })
}

// OpenOrCreate opens the log of that topic id or makes it. It returns ErrTopicID when
// the folder belongs to another topic id: Delete it first.
func (d *Dir) OpenOrCreate(p Partition, id TopicID, c LogConfig) (*Log, error) {
	d.openMu.Lock()
	defer d.openMu.Unlock()
	l, err := d.open(p, c)
	switch {
	case errors.Is(err, ErrNotFound):
		return d.create(p, id, c)
	case err != nil:
		return nil, err
	case l.topicID == TopicID{} && id != TopicID{}: // a crash took partition.metadata before any record was synced
		return l, l.saveTopicID(id)
	case l.topicID != id:
		return nil, fmt.Errorf("%w: %s has %s, wanted %s", ErrTopicID, p, encodeUUID(l.topicID), encodeUUID(id))
	}
	return l, nil
}

// enter makes a log known that open returns.
func (d *Dir) enter(p Partition, open func() (*Log, error)) (*Log, error) {
	if err := d.usable(); err != nil {
		return nil, err
	}
	l, err := open()
	if err != nil {
		return nil, fmt.Errorf("open log %s: %w", p, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, l.abandon(ErrClosed)
	}
	d.logs[p] = l
	return l, nil
}

// Log returns an open log, nil if it is not open.
func (d *Dir) Log(p Partition) *Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.logs[p]
}

// Logs returns the open logs in order of names.
func (d *Dir) Logs() []*Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.SortedFunc(maps.Values(d.logs), func(a, b *Log) int { return a.partition.compare(b.partition) })
}

// Err tells why the folder is offline, nil if it is not. It is an ErrOffline.
func (d *Dir) Err() error {
	if p := d.offline.Load(); p != nil {
		return *p
	}
	return nil
}

func (d *Dir) usable() error {
	if err := d.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	return nil
}

// fail takes the folder offline for good: after a failed sync nobody knows what is on disk, and
// asking again may be answered yes without it being there. It returns the error that
// everybody gets from now on, which is that of the first failure.
func (d *Dir) fail(why error) error {
	if errors.Is(why, ErrOffline) {
		return why
	}
	err := fmt.Errorf("%w: %w", ErrOffline, why)
	if d.offline.CompareAndSwap(nil, &err) {
		d.event(slog.LevelError, "data folder is offline", "folder", d.path, "error", why)
		for _, l := range d.Logs() {
			l.wake()
		}
	}
	return d.Err()
}

func (d *Dir) now() time.Time { return d.options.Now() }

func (d *Dir) event(level slog.Level, message string, args ...any) {
	r := slog.NewRecord(time.Time{}, level, message, 0)
	r.Add(args...)
	e := Event{Level: level, Message: message}
	r.Attrs(func(a slog.Attr) bool { e.Attrs = append(e.Attrs, a); return true })
	d.options.Event(e)
}

func (d *Dir) debug(message string, args ...any) { d.event(slog.LevelDebug, message, args...) }

func (d *Dir) warn(message string, args ...any) { d.event(slog.LevelWarn, message, args...) }

func (d *Dir) recoveryPointOf(p Partition) (record.Offset, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o, ok := d.points[p]
	return o, ok
}

func (d *Dir) startOf(p Partition) record.Offset {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.starts[p]
}

func (d *Dir) watermarkOf(p Partition) record.Offset {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.watermarks[p]
}
