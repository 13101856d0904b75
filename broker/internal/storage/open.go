package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

func newLog(d *Dir, p Partition, c LogConfig) *Log {
	l := &Log{dir: d, partition: p, path: filepath.Join(d.path, p.String()), producers: producers{}, unstable: newUnstable(), checkpointed: -1}
	l.config.Store(&c)
	return l
}

// createLog makes the folder and files of a new log. They are synced with its first record: until then
// there is nothing to lose, and fifty partitions are made in a few milliseconds.
func createLog(d *Dir, p Partition, id TopicID, c LogConfig, start record.Offset) (*Log, error) {
	l := newLog(d, p, c)
	if err := d.fs.Mkdir(l.path); err != nil {
		return nil, err
	}
	if err := l.saveTopicID(id); err != nil {
		return nil, err
	}
	if err := writeNew(d.fs, filepath.Join(l.path, epochFile), epochs(nil).encode()); err != nil {
		return nil, err
	}
	s, err := createSegment(d.fs, l.path, start, "")
	if err != nil {
		return nil, err
	}
	s.jitter = c.jitter()
	l.segments, l.start, l.end = []*segment{s}, start, start
	l.newNames, l.fresh = true, true
	l.flushed.Store(int64(start))
	l.watermark.Store(int64(start))
	return l, nil
}

func (l *Log) saveTopicID(id TopicID) error {
	l.topicID = id
	if id == (TopicID{}) {
		return nil
	}
	return writeNew(l.dir.fs, filepath.Join(l.path, partitionFile), encodePartitionMetadata(id))
}

// loadLog opens a log from its folder.
func loadLog(d *Dir, p Partition, c LogConfig) (*Log, error) {
	l := newLog(d, p, c)
	files, err := l.list()
	if err != nil {
		return nil, err
	}
	if err := l.loadTopicID(); err != nil {
		return nil, err
	}
	start := d.startOf(p)
	abortedIntact := true
	for i, f := range files {
		s := newSegment(d.fs, l.path, f.base, "")
		s.size = f.size
		s.aborted.written = int(f.aborted / abortedEntrySize)
		abortedIntact = abortedIntact && f.aborted%abortedEntrySize == 0
		s.sealed.Store(i < len(files)-1)
		l.segments = append(l.segments, s)
		if f.indexed || i == len(files)-1 {
			continue
		}
		if err := s.rebuild(s.size); err != nil {
			return nil, l.abandon(err)
		}
	}
	if len(files) == 0 {
		s, err := createSegment(d.fs, l.path, start, "")
		if err != nil {
			return nil, err
		}
		l.segments = []*segment{s}
		l.newNames = true
	}
	l.active().jitter = c.jitter()
	l.start = max(start, l.segments[0].base)
	trusted, err := l.findEnd()
	if err != nil {
		return nil, l.abandon(err)
	}
	if !abortedIntact {
		trusted = -1
	}
	l.epochs = l.epochs.cutStart(l.start)
	if err := l.loadProducers(trusted); err != nil {
		return nil, l.abandon(err)
	}
	l.flushed.Store(int64(l.end))
	if l.Config().FlushMessages > 1 {
		l.inMemory.Store(int64(l.end))
	}
	l.watermark.Store(int64(min(d.watermarkOf(p), l.end)))
	return l, nil
}

// abandon closes the files of a log that cannot be opened.
func (l *Log) abandon(err error) error {
	for _, s := range l.segments {
		s.release()
	}
	return err
}

// segmentFile is a .log file in the folder.
type segmentFile struct {
	base    record.Offset
	size    int64
	indexed bool  // its indexes are there and have whole entries
	aborted int64 // size of its index of aborted transactions
}

// list returns the segments in the folder and the snapshots, oldest first. What interrupted work
// has left behind is removed.
func (l *Log) list() ([]segmentFile, error) {
	if err := l.finishSwap(); err != nil {
		return nil, err
	}
	entries, err := l.dir.fs.ReadDir(l.path)
	if err != nil {
		return nil, err
	}
	sizes := map[string]int64{}
	var files []segmentFile
	for _, e := range entries {
		name := e.Name()
		if strings.HasSuffix(name, deletedSuffix) || strings.HasSuffix(name, tempSuffix) {
			if err := l.dir.fs.Remove(filepath.Join(l.path, name)); err != nil {
				return nil, err
			}
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		sizes[name] = info.Size()
		if base, ok := parseOffset(name, logSuffix); ok {
			files = append(files, segmentFile{base: base, size: info.Size()})
		}
		if o, ok := parseOffset(name, snapshotSuffix); ok {
			l.snapshots = append(l.snapshots, o)
		}
	}
	slices.Sort(l.snapshots)
	slices.SortFunc(files, func(a, b segmentFile) int { return int(min(1, max(-1, a.base-b.base))) })
	for i := range files {
		f := &files[i]
		offsets, ok := sizes[offsetName(int64(f.base), offsetIndexSuffix)]
		times, ok2 := sizes[offsetName(int64(f.base), timeIndexSuffix)]
		f.aborted = sizes[offsetName(int64(f.base), txnIndexSuffix)]
		f.indexed = ok && ok2 && offsets%offsetEntrySize == 0 && times%timeEntrySize == 0 && (f.size == 0 || times > 0)
	}
	return files, nil
}

func parseOffset(name, suffix string) (record.Offset, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != offsetDigitsInName {
		return 0, false
	}
	o, err := strconv.ParseInt(digits, 10, 64)
	return record.Offset(o), err == nil && o >= 0
}

// loadTopicID reads partition.metadata. An empty one was never synced: the topic id is not known.
func (l *Log) loadTopicID() error {
	path := filepath.Join(l.path, partitionFile)
	data, err := vfs.ReadFile(l.dir.fs, path)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && len(strings.Trim(string(data), "\x00")) == 0) {
		return nil
	}
	if err != nil {
		return err
	}
	if l.topicID, err = parsePartitionMetadata(data); err != nil {
		return &CorruptionError{File: path, Err: err}
	}
	return nil
}

// loadEpochs reads leader-epoch-checkpoint and reports whether that could be done.
func (l *Log) loadEpochs() bool {
	path := filepath.Join(l.path, epochFile)
	e, err := readEpochs(l.dir.fs, path)
	if err != nil {
		l.dir.warn("leader epochs are made again from the log", "file", path, "error", err)
		return false
	}
	l.epochs = e
	return true
}

// writeNew writes a file that need not be durable yet.
func writeNew(fsys vfs.FS, path string, data []byte) error {
	f, err := fsys.Open(path, createFlags)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	_, err = f.WriteAt(data, 0)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
