// Package vfs is the little of a file system that the storage needs, behind an interface, so
// that tests can lose power, fill the disk and read every operation back.
//
// Three implementations: OS, Mem (keeps apart what is synced and what is not, see Mem.PowerCut)
// and Wrap, which puts a hook before each operation of another FS: to trace it or to fail it.
package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// FS is a tree of files. All paths are slash or OS separated as the implementation likes;
// callers join them with path/filepath. A created, renamed or removed name is durable only
// after SyncDir of its folder, written bytes only after Sync of their file.
type FS interface {
	// Open opens a file; flag is os.O_RDONLY or os.O_RDWR, with os.O_CREATE, os.O_EXCL and os.O_TRUNC.
	Open(name string, flag int) (File, error)
	// Mkdir makes one folder; MkdirAll those above it too, and is content with one that is there.
	Mkdir(name string) error
	MkdirAll(name string) error
	// Rename replaces what has the new name.
	Rename(from, to string) error
	// Remove removes a file or an empty folder.
	Remove(name string) error
	// ReadDir lists a folder in order of names.
	ReadDir(name string) ([]fs.DirEntry, error)
	// Stat describes a file or folder.
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the names in a folder durable.
	SyncDir(name string) error
	// Space tells the size of the disk that holds a name and what is free of it, in bytes.
	Space(name string) (total, usable int64, err error)
	// Lock takes a lock file that no other holder of the same name can take until it is
	// closed; it returns ErrLocked when somebody holds it.
	Lock(name string) (io.Closer, error)
}

// File is an open file. There is no position: all reads and writes say where.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes the bytes durable, and the size, but not necessarily times (fdatasync).
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
}

// ErrLocked is returned by FS.Lock when another process, or this one, holds the lock.
var ErrLocked = errors.New("locked by another process")

// ReadFile returns the content of a file.
func ReadFile(fsys FS, name string) ([]byte, error) {
	f, err := fsys.Open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	buf := make([]byte, size)
	n, err := f.ReadAt(buf, 0)
	if n == len(buf) || errors.Is(err, io.EOF) {
		err = nil
	}
	return buf[:n], err
}

// Exists tells whether a name is there.
func Exists(fsys FS, name string) (bool, error) {
	_, err := fsys.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// RemoveAll removes a folder with everything in it; it is content when it is not there.
func RemoveAll(fsys FS, name string) error {
	entries, err := fsys.ReadDir(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		child := name + string(os.PathSeparator) + e.Name()
		if e.IsDir() {
			err = RemoveAll(fsys, child)
		} else {
			err = fsys.Remove(child)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
