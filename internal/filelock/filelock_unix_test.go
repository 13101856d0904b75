//go:build unix

package filelock

import (
	"path/filepath"
	"syscall"
	"testing"
)

// A child between fork and exec holds a copy of the descriptor; a copy made here stands for it.
func TestClose_GivesTheLockBackWhateverCopiesAreOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	l, err := TryExclusive(path)
	if err != nil {
		t.Fatal(err)
	}
	dup, err := syscall.Dup(int(l.f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(dup) }()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := TryExclusive(path)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	_ = again.Close()
}
