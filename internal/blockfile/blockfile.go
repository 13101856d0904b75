// Package blockfile gives the small stores of the shop one face for a file and
// for memory: where no folder may be written, as in a container with a read-only
// root, what they keep lasts as long as the process.
package blockfile

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// File is what a store needs of a file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
}

// Folder holds files.
type Folder interface {
	// Open opens or makes a file.
	Open(name string) (File, error)
	Remove(name string) error
	Names() ([]string, error)
}

// OpenFolder returns the folder at path, which is made when it is missing, or
// one in memory when path is empty.
func OpenFolder(path string) (Folder, error) {
	if path == "" {
		return memoryFolder{}, nil
	}
	return osFolder(path), os.MkdirAll(path, 0o755)
}

type osFolder string

func (f osFolder) Open(name string) (File, error) {
	return os.OpenFile(filepath.Join(string(f), name), os.O_RDWR|os.O_CREATE, 0o644)
}

func (f osFolder) Remove(name string) error { return os.Remove(filepath.Join(string(f), name)) }

func (f osFolder) Names() ([]string, error) {
	entries, err := os.ReadDir(string(f))
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// memoryFolder forgets a file when its last user does: a store opens each of its
// files once.
type memoryFolder struct{}

func (memoryFolder) Open(string) (File, error) { return &memoryFile{}, nil }
func (memoryFolder) Remove(string) error       { return nil }
func (memoryFolder) Names() ([]string, error)  { return nil, nil }

type memoryFile struct {
	mu   sync.RWMutex
	data []byte
}

func (f *memoryFile) ReadAt(p []byte, at int64) (int, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if at >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) WriteAt(p []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if end := int(at) + len(p); end > len(f.data) {
		f.data = slices.Grow(f.data, end-len(f.data))[:end]
	}
	return copy(f.data[at:], p), nil
}

func (f *memoryFile) Truncate(size int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if size < int64(len(f.data)) {
		clear(f.data[size:])
		f.data = f.data[:size]
	}
	return nil
}

func (f *memoryFile) Close() error { return nil }
