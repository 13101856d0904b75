package storage

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

// segment is one .log file with its indexes. Only the last segment of a log is written to.
//
// Fields under "active" belong to the log's append lock and are published to readers
// under the log's lock: size and largest.
type segment struct {
	fs   vfs.FS
	dir  string
	base record.Offset
	tail string // what the names of the files end with while the segment is being cleaned into

	offsets *index
	times   *index
	aborted *index // of transactions; it has no file until there is one

	// active
	size       int64
	largest    timestampAt // largest timestamp so far and the last offset of its batch
	firstTime  int64       // timestamp of the first batch, from which segment.ms counts; -1 if none
	sinceIndex int         // bytes since the last index entry
	lastTime   int64       // timestamp of the last .timeindex entry
	jitter     int64       // by how many milliseconds segment.ms is shorter for this one

	sealed atomic.Bool  // full: nothing will be appended
	refs   atomic.Int32 // the log's own and one for each reader at work
	fileMu sync.Mutex   // guards file
	file   vfs.File     // nil until needed
	repair sync.Mutex   // one rebuild of the indexes at a time
	summed sync.Once    // loads largest of a segment that was full when it was opened
	timed  sync.Once    // loads firstTime of such a segment
}

type timestampAt struct {
	timestamp int64
	offset    record.Offset
}

func newSegment(fsys vfs.FS, dir string, base record.Offset, tail string) *segment {
	s := &segment{
		fs: fsys, dir: dir, base: base, tail: tail,
		largest: timestampAt{record.NoTimestamp, base}, firstTime: record.NoTimestamp, lastTime: record.NoTimestamp,
	}
	s.offsets = newIndex(fsys, s.path(offsetIndexSuffix), offsetEntrySize)
	s.times = newIndex(fsys, s.path(timeIndexSuffix), timeEntrySize)
	s.aborted = newIndex(fsys, s.path(txnIndexSuffix), abortedEntrySize)
	s.refs.Store(1)
	return s
}

// createSegment makes the files of an empty segment. They are durable after a sync of the folder.
func createSegment(fsys vfs.FS, dir string, base record.Offset, tail string) (*segment, error) {
	s := newSegment(fsys, dir, base, tail)
	f, err := fsys.Open(s.path(logSuffix), createFlags)
	if err != nil {
		return nil, err
	}
	s.file = f
	if err := errors.Join(s.offsets.create(), s.times.create()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return s, nil
}

func (s *segment) path(suffix string) string {
	return filepath.Join(s.dir, offsetName(int64(s.base), suffix)+s.tail)
}

// open returns the .log file.
func (s *segment) open() (vfs.File, error) {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	if s.file == nil {
		f, err := s.fs.Open(s.path(logSuffix), os.O_RDWR)
		if err != nil {
			return nil, err
		}
		s.file = f
	}
	return s.file, nil
}

// acquire keeps the files open until release. The caller holds the log's lock, or a reference.
func (s *segment) acquire() *segment {
	s.refs.Add(1)
	return s
}

func (s *segment) release() {
	if s.refs.Add(-1) > 0 {
		return
	}
	s.fileMu.Lock()
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
	}
	s.fileMu.Unlock()
	_ = s.offsets.close()
	_ = s.times.close()
	_ = s.aborted.close()
}

// write puts batches at the end of the file. When that fails, what was written of them is cut off again.
func (s *segment) write(batches []byte) error {
	f, err := s.open()
	if err != nil {
		return err
	}
	n, err := f.WriteAt(batches, s.size)
	if err == nil && n < len(batches) {
		err = io.ErrShortWrite
	}
	if err == nil {
		return nil
	}
	if cut := f.Truncate(s.size); cut != nil {
		return fmt.Errorf("%w: cut off a half-written batch: %w, after: %w", errTornAppend, cut, err)
	}
	return err
}

// errTornAppend marks a failed write whose bytes could not be taken back.
var errTornAppend = errors.New("log has a torn batch")

// note brings indexes and sums up to date with a batch that lies at position, as Kafka's
// LogSegment.append does: an index entry names the last offset of its batch.
func (s *segment) note(b record.Batch, position int64, interval int) {
	if t := b.MaxTimestamp(); t > s.largest.timestamp {
		s.largest = timestampAt{t, b.LastOffset()}
	}
	if position == 0 {
		s.firstTime = b.MaxTimestamp()
	}
	if s.sinceIndex > interval {
		s.noteTime()
		entry := offsetEntry{uint32(b.LastOffset() - s.base), uint32(position)}.encode()
		s.offsets.add(entry[:])
		s.sinceIndex = 0
	}
	s.sinceIndex += len(b)
}

// noteTime adds a time index entry if the largest timestamp has grown since the last one.
func (s *segment) noteTime() {
	if s.largest.timestamp > s.lastTime {
		entry := timeEntry{s.largest.timestamp, uint32(s.largest.offset - s.base)}.encode()
		s.times.add(entry[:])
		s.lastTime = s.largest.timestamp
	}
}

// seal writes what the indexes still hold back, when the segment is full or the log closes.
func (s *segment) seal() error {
	s.noteTime()
	s.sealed.Store(true)
	return s.flushIndexes()
}

// flushIndexes writes the time index first: it must never know less than the offset index.
func (s *segment) flushIndexes() error {
	if err := s.times.flush(); err != nil {
		return err
	}
	if err := s.offsets.flush(); err != nil {
		return err
	}
	return s.aborted.flush()
}

func (s *segment) syncIndexes() error {
	return errors.Join(s.times.sync(), s.offsets.sync(), s.aborted.sync())
}

// full tells whether a batch of that size and last offset has to go to a new segment.
func (s *segment) full(c *LogConfig, size int, last record.Offset, timestamp int64) bool {
	if s.size == 0 {
		return false
	}
	entries := max(s.indexEntries(s.offsets)*offsetEntrySize, s.indexEntries(s.times)*timeEntrySize)
	return s.size > int64(c.SegmentBytes)-int64(size) ||
		s.size+int64(size) > math.MaxInt32 ||
		int64(last-s.base) > math.MaxInt32 ||
		entries > c.SegmentIndexBytes-timeEntrySize ||
		(s.firstTime >= 0 && timestamp >= 0 && timestamp-s.firstTime > c.rollMs()-s.jitter)
}

// indexEntries counts without touching the disk once the index has been written to.
func (s *segment) indexEntries(x *index) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return max(x.written, 0) + len(x.pending)/x.entrySize
}

// floor returns a position at or before the batch that contains offset, from the index;
// 0 when the index knows none.
func (s *segment) floor(offset record.Offset) (entry offsetEntry, found bool, err error) {
	relative := offset - s.base
	e, n, err := s.offsets.last(func(e []byte) bool { return record.Offset(decodeOffsetEntry(e).offset) <= relative })
	if err != nil || n < 0 {
		return offsetEntry{}, false, err
	}
	return decodeOffsetEntry(e), true, nil
}

// largestTimestamp of a full segment comes from the end of its time index, or when that has
// nothing, from the log.
func (s *segment) largestTimestamp(size int64) (timestampAt, error) {
	var failed error
	s.summed.Do(func() {
		e, n, err := s.times.last(func([]byte) bool { return true })
		if err == nil && n >= 0 {
			t := decodeTimeEntry(e)
			s.largest = timestampAt{t.timestamp, s.base + record.Offset(t.offset)}
			return
		}
		failed = err
		if err == nil && s.largest.timestamp < 0 && size > 0 {
			failed = s.scan(0, size, func(b record.Batch, _ int64) error {
				if t := b.MaxTimestamp(); t > s.largest.timestamp {
					s.largest = timestampAt{t, b.LastOffset()}
				}
				return nil
			})
		}
	})
	return s.largest, failed
}

// remove takes the segment out of the folder: renamed first, so that a crash in between leaves
// nothing that looks like a segment with files missing. What becomes of the renamed files is said by then.
func (s *segment) remove(then func(path string) error) error {
	for _, suffix := range segmentSuffixes {
		path := s.path(suffix)
		err := s.fs.Rename(path, path+deletedSuffix)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = then(path + deletedSuffix)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
