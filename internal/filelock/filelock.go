// Package filelock locks a file between processes. The lock ends with the
// process that holds it, whatever its death: a file left behind locks nothing.
package filelock

import (
	"errors"
	"fmt"
	"os"
)

// ErrHeld is returned by TryExclusive when another process holds the lock.
var ErrHeld = errors.New("held by another process")

// Lock is a held lock. Children do not inherit it.
type Lock struct{ f *os.File }

// TryExclusive takes the lock alone, or answers ErrHeld at once.
func TryExclusive(path string) (*Lock, error) {
	return open(path, func(f *os.File) error { return lock(f, true, false) })
}

// Shared takes the lock together with other shared holders. It waits while
// someone holds it alone.
func Shared(path string) (*Lock, error) {
	return open(path, func(f *os.File) error { return lock(f, false, true) })
}

func open(path string, take func(*os.File) error) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := take(f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return &Lock{f: f}, nil
}

// Write replaces the file's content, for the reader who wants to know who holds
// the lock.
func (l *Lock) Write(content []byte) error {
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	_, err := l.f.WriteAt(content, 0)
	return err
}

// Close gives the lock back. The file stays: removing it would let two
// processes lock two files of one name.
//
// Closing the file alone would not do on Unix: a child that another goroutine is
// starting has a copy of the descriptor until its exec, and with it the lock.
func (l *Lock) Close() error { return errors.Join(unlock(l.f), l.f.Close()) }
