package vfs

import (
	"io"
	"io/fs"
	"slices"
)

// memFile is an open file of a Mem. Like a file descriptor it outlives the name.
type memFile struct {
	m      *Mem
	n      *node
	closed bool
}

func (f *memFile) lock(op string) error {
	f.m.mu.Lock()
	if f.closed {
		f.m.mu.Unlock()
		return fail(op, f.n.name, fs.ErrClosed)
	}
	return nil
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.lock("read"); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.lock("write"); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	if len(p) > 0 {
		f.n.change(change{offset: off, data: slices.Clone(p)})
	}
	return len(p), nil
}

func (f *memFile) Truncate(size int64) error {
	if err := f.lock("truncate"); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	f.n.change(change{offset: size})
	return nil
}

func (f *memFile) Sync() error {
	if err := f.lock("sync"); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	for _, c := range f.n.pending {
		f.n.synced = c.apply(f.n.synced)
	}
	f.n.pending = nil
	return nil
}

func (f *memFile) Size() (int64, error) {
	if err := f.lock("size"); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	return int64(len(f.n.data)), nil
}

func (f *memFile) Close() error {
	if err := f.lock("close"); err != nil {
		return err
	}
	defer f.m.mu.Unlock()
	f.closed = true
	return nil
}
