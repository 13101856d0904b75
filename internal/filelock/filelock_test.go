package filelock

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestTryExclusive(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	first, err := TryExclusive(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Write([]byte("42\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := TryExclusive(path); !errors.Is(err, ErrHeld) {
		t.Fatalf("second exclusive lock: %v, want ErrHeld", err)
	}
	content, err := os.ReadFile(path)
	if err != nil || string(content) != "42\n" {
		t.Fatalf("content while locked: %q, %v", content, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := TryExclusive(path)
	if err != nil {
		t.Fatalf("after the holder is gone: %v", err)
	}
	_ = again.Close()
}

func TestShared_ManyHoldersKeepExclusiveOut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	var held []*Lock
	for range 3 {
		l, err := Shared(path)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, l)
	}
	for _, l := range held {
		if _, err := TryExclusive(path); !errors.Is(err, ErrHeld) {
			t.Fatalf("exclusive beside shared: %v, want ErrHeld", err)
		}
		_ = l.Close()
	}
	l, err := TryExclusive(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
}
