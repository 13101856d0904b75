package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sort"
	"sync"

	"millrace/broker/internal/vfs"
)

// Sizes of index entries, big-endian, offsets relative to the segment's first; that of .txnindex
// is in transactions.go:
//
//	.index      offset 4 | position 4                 of the batch that ends with offset
//	.timeindex  timestamp 8 | offset 4                largest timestamp so far, and the end of its batch
const (
	offsetEntrySize = 8
	timeEntrySize   = 12
	// indexPending entries gather in memory before they are written: the indexes can always
	// be made again from the log, so a crash may take these.
	indexPending = 64
	indexBlock   = 256 // entries read at once at the end of a search
)

// index is a file of entries of one size in rising order, with the newest entries still
// in memory. Entries are added by one goroutine at a time; any may search.
type index struct {
	fs        vfs.FS
	path      string
	entrySize int

	mu      sync.Mutex // guards what follows
	file    vfs.File   // nil until needed
	written int        // entries in the file
	pending []byte     // entries after those; never changed in place, so that searches may hold it
	dirty   bool       // written since the last sync
	held    bool       // the name belongs to another file now, see hold
}

func newIndex(fsys vfs.FS, path string, entrySize int) *index {
	return &index{fs: fsys, path: path, entrySize: entrySize, written: -1}
}

// open opens the file if that has not been done and counts its entries; half an entry at the
// end is what a crash left and does not count. A missing file is an empty index.
func (x *index) open(flag int) error {
	if x.file != nil {
		return nil
	}
	if x.held {
		if flag&os.O_CREATE != 0 {
			return fmt.Errorf("%s: %w", x.path, fs.ErrClosed)
		}
		return nil
	}
	f, err := x.fs.Open(x.path, flag)
	if errors.Is(err, fs.ErrNotExist) && flag&os.O_CREATE == 0 {
		x.written = max(x.written, 0)
		return nil
	}
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil {
		_ = f.Close()
		return err
	}
	x.file, x.written = f, int(size)/x.entrySize
	return nil
}

// add appends an entry. That the file cannot be written now is no error yet: the entries are kept
// until it can, and flush tells.
func (x *index) add(entry []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.pending = append(x.pending, entry...)
	if len(x.pending) >= indexPending*x.entrySize {
		_ = x.flushLocked()
	}
}

// hold opens the file for good, if there is one, before another takes its name: those who search go on with it.
func (x *index) hold() error {
	if err := x.flush(); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	err := x.open(os.O_RDWR)
	x.held = err == nil
	return err
}

// bytes is the size of the entries.
func (x *index) bytes() (int64, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	err := x.open(os.O_RDWR)
	return int64(x.written*x.entrySize + len(x.pending)), err
}

// flush writes the pending entries.
func (x *index) flush() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.flushLocked()
}

func (x *index) flushLocked() error {
	if len(x.pending) == 0 {
		return nil
	}
	if err := x.open(os.O_RDWR | os.O_CREATE); err != nil {
		return err
	}
	if _, err := x.file.WriteAt(x.pending, int64(x.written*x.entrySize)); err != nil {
		return err
	}
	x.written += len(x.pending) / x.entrySize
	x.pending, x.dirty = nil, true
	return nil
}

// sync makes the written entries durable.
func (x *index) sync() error {
	x.mu.Lock()
	f, dirty := x.file, x.dirty
	x.dirty = false
	x.mu.Unlock()
	if !dirty || f == nil {
		return nil
	}
	return f.Sync()
}

// truncate keeps the first n entries. They count as not synced: after kill -9 the file may hold what
// only the operating system has.
func (x *index) truncate(n int) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.open(os.O_RDWR | os.O_CREATE); err != nil {
		return err
	}
	x.pending, x.written, x.dirty = nil, n, true
	size, err := x.file.Size()
	if err != nil || size == int64(n*x.entrySize) {
		return err
	}
	return x.file.Truncate(int64(n * x.entrySize))
}

// last finds the last entry for which ok is true; ok must be true up to some entry and false after.
// It returns the entry and its number, -1 if there is none.
func (x *index) last(ok func(entry []byte) bool) ([]byte, int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.open(os.O_RDWR); err != nil {
		return nil, -1, err
	}
	written, pending := x.written, x.pending
	size := x.entrySize
	n := sort.Search(len(pending)/size, func(i int) bool { return !ok(pending[i*size : (i+1)*size]) })
	if n > 0 {
		return pending[(n-1)*size : n*size], written + n - 1, nil
	}
	low, high := 0, written // the answer is below high
	var one [abortedEntrySize]byte
	for high-low > indexBlock {
		mid := (low + high) / 2
		if err := x.readAt(one[:size], mid); err != nil {
			return nil, -1, err
		}
		if ok(one[:size]) {
			low = mid
		} else {
			high = mid
		}
	}
	if low == high {
		return nil, -1, nil
	}
	block := getBuffer((high - low) * size)
	defer putBuffer(block)
	if err := x.readAt(block, low); err != nil {
		return nil, -1, err
	}
	n = sort.Search(high-low, func(i int) bool { return !ok(block[i*size : (i+1)*size]) })
	if n == 0 {
		return nil, -1, nil
	}
	return slices.Clone(block[(n-1)*size : n*size]), low + n - 1, nil
}

// any tells whether there is an entry.
func (x *index) any() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.written > 0 || len(x.pending) > 0
}

// each calls f with the entries from number n on until it returns false.
func (x *index) each(n int, f func(entry []byte) bool) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.open(os.O_RDWR); err != nil {
		return err
	}
	size := x.entrySize
	block := getBuffer(indexBlock * size)
	defer putBuffer(block)
	for n < x.written {
		part := block[:min(indexBlock, x.written-n)*size]
		if err := x.readAt(part, n); err != nil {
			return err
		}
		for n += len(part) / size; len(part) > 0; part = part[size:] {
			if !f(part[:size]) {
				return nil
			}
		}
	}
	for rest := x.pending[(n-x.written)*size:]; len(rest) > 0; rest = rest[size:] {
		if !f(rest[:size]) {
			return nil
		}
	}
	return nil
}

// cut keeps the entries up to the first for which gone is true; gone must be true of all after it.
// An index without entries is left as it is, so that no file comes into being.
func (x *index) cut(gone func(entry []byte) bool) error {
	if !x.any() {
		return nil
	}
	_, n, err := x.last(func(e []byte) bool { return !gone(e) })
	if err != nil {
		return err
	}
	return x.truncate(n + 1)
}

func (x *index) readAt(p []byte, entry int) error {
	n, err := x.file.ReadAt(p, int64(entry*x.entrySize))
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %s: %w", x.path, err)
}

func (x *index) close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.file == nil {
		return nil
	}
	err := x.file.Close()
	x.file = nil
	return err
}

// create makes the file, so that a log's folder looks as Kafka leaves it.
func (x *index) create() error {
	f, err := x.fs.Open(x.path, createFlags)
	if err != nil {
		return err
	}
	x.written = 0
	return f.Close()
}

type offsetEntry struct{ offset, position uint32 }

func (e offsetEntry) encode() [offsetEntrySize]byte {
	var b [offsetEntrySize]byte
	binary.BigEndian.PutUint32(b[:], e.offset)
	binary.BigEndian.PutUint32(b[4:], e.position)
	return b
}

func decodeOffsetEntry(b []byte) offsetEntry {
	return offsetEntry{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

type timeEntry struct {
	timestamp int64
	offset    uint32
}

func (e timeEntry) encode() [timeEntrySize]byte {
	var b [timeEntrySize]byte
	binary.BigEndian.PutUint64(b[:], uint64(e.timestamp))
	binary.BigEndian.PutUint32(b[8:], e.offset)
	return b
}

func decodeTimeEntry(b []byte) timeEntry {
	return timeEntry{int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:])}
}
