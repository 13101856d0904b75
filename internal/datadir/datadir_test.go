package datadir

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"millrace/internal/filelock"
)

func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestOpen_SaysWhoHoldsTheFolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "b")
	d := open(t, path)
	_, err := Open(path)
	var inUse *InUseError
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() {
		t.Fatalf("second open: %v, want InUseError with pid %d", err, os.Getpid())
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestSecret_StaysAndIsPrivate(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir())
	first, err := d.Secret("postgres")
	if err != nil {
		t.Fatal(err)
	}
	other, err := d.Secret("order")
	if err != nil {
		t.Fatal(err)
	}
	again, err := d.Secret("postgres")
	if err != nil {
		t.Fatal(err)
	}
	if read, err := ReadSecret(d.Path(), "postgres"); err != nil || read != first {
		t.Fatalf("read without the folder: %q, %v", read, err)
	}
	if _, err := ReadSecret(d.Path(), "nobody"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a password that was never made: %v", err)
	}
	if first != again || first == other || len(first) < 20 {
		t.Fatalf("secrets: %q, again %q, other %q", first, again, other)
	}
	info, err := os.Stat(d.Path(secretsFile))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm()&0o077 != 0 && os.PathSeparator == '/' {
		t.Fatalf("mode %v, want nothing for group and others", info.Mode())
	}
}

func TestShop_RoundTrip(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir())
	if _, err := ReadShop(d.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("no shop runs: %v, want fs.ErrNotExist", err)
	}
	if err := d.WriteShop(Shop{PID: 7, OrderURL: "http://127.0.0.1:8081", Parts: []Part{{Name: "order", PID: 8}}}); err != nil {
		t.Fatal(err)
	}
	s, err := ReadShop(d.Path())
	if err != nil || s.PID != 7 || len(s.Parts) != 1 || s.Parts[0].PID != 8 {
		t.Fatalf("read back: %+v, %v", s, err)
	}
	if err := errors.Join(d.RemoveShop(), d.RemoveShop()); err != nil {
		t.Fatal(err)
	}
}

func TestWaitForStragglers(t *testing.T) {
	t.Parallel()
	d := open(t, t.TempDir())
	straggler, err := filelock.Shared(d.PartsLock())
	if err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if err := d.WaitForStragglers(cancelled, func() {}); !errors.Is(err, context.Canceled) {
		t.Fatalf("with a straggler: %v, want context.Canceled", err)
	}
	told := false
	if err := d.WaitForStragglers(context.Background(), func() { told = true; _ = straggler.Close() }); err != nil {
		t.Fatal(err)
	}
	if !told {
		t.Fatal("nothing was said about the wait")
	}
}
