package vfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// both runs a test on every file system, in an empty folder.
func both(t *testing.T, test func(t *testing.T, fsys FS, dir string)) {
	t.Helper()
	for name, fsys := range map[string]FS{"os": OS{}, "mem": NewMem(), "wrapped": Wrap(NewMem(), func(Op) error { return nil })} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "data")
			if err := fsys.MkdirAll(dir); err != nil {
				t.Fatal(err)
			}
			test(t, fsys, dir)
		})
	}
}

func write(t *testing.T, fsys FS, name, content string) File {
	t.Helper()
	f, err := fsys.Open(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(content), 0); err != nil {
		t.Fatal(err)
	}
	return f
}

func read(t *testing.T, fsys FS, name string) string {
	t.Helper()
	b, err := ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFS_Files(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, fsys FS, dir string) {
		a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
		f := write(t, fsys, a, "hello")
		if _, err := f.WriteAt([]byte("!"), 7); err != nil {
			t.Fatal(err)
		}
		if size, err := f.Size(); size != 8 || err != nil {
			t.Errorf("size %d, %v", size, err)
		}
		if got := read(t, fsys, a); got != "hello\x00\x00!" {
			t.Errorf("%q", got)
		}
		if n, err := f.ReadAt(make([]byte, 9), 3); n != 5 || !errors.Is(err, io.EOF) {
			t.Errorf("read beyond the end: %d, %v", n, err)
		}
		if err := errors.Join(f.Truncate(2), f.Truncate(4), f.Sync(), fsys.SyncDir(dir)); err != nil {
			t.Fatal(err)
		}
		if got := read(t, fsys, a); got != "he\x00\x00" {
			t.Errorf("%q", got)
		}
		if err := fsys.Rename(a, b); err != nil {
			t.Fatal(err)
		}
		if got := read(t, fsys, a) + read(t, fsys, b); got != "-he\x00\x00" {
			t.Errorf("%q", got)
		}
		if err := fsys.Remove(b); err != nil {
			t.Fatal(err)
		}
		if _, err := f.ReadAt(make([]byte, 2), 0); err != nil {
			t.Errorf("an open file outlives its name: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("write after close: %v", err)
		}
		for what, err := range map[string]error{
			"open":   func() error { _, err := fsys.Open(b, os.O_RDWR); return err }(),
			"remove": fsys.Remove(b), "rename": fsys.Rename(b, a),
			"stat": func() error { _, err := fsys.Stat(b); return err }(),
		} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s of nothing: %v", what, err)
			}
		}
	})
}

func TestFS_Folders(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, fsys FS, dir string) {
		sub := filepath.Join(dir, "sub")
		if err := fsys.Mkdir(sub); err != nil {
			t.Fatal(err)
		}
		if err := fsys.Mkdir(sub); !errors.Is(err, fs.ErrExist) {
			t.Errorf("mkdir again: %v", err)
		}
		_ = write(t, fsys, filepath.Join(sub, "f"), "x").Close()
		_ = write(t, fsys, filepath.Join(dir, "e"), "xy").Close()
		list, err := fsys.ReadDir(dir)
		if err != nil || len(list) != 2 || list[0].Name() != "e" || list[0].IsDir() || !list[1].IsDir() {
			t.Errorf("%v, %v", list, err)
		}
		if info, err := list[0].Info(); err != nil || info.Size() != 2 {
			t.Errorf("%v, %v", info, err)
		}
		if err := fsys.Remove(sub); err == nil {
			t.Error("removed a folder with a file in it")
		}
		if err := RemoveAll(fsys, sub); err != nil {
			t.Fatal(err)
		}
		if ok, err := Exists(fsys, sub); ok || err != nil {
			t.Errorf("%t, %v", ok, err)
		}
		if err := RemoveAll(fsys, sub); err != nil {
			t.Errorf("again: %v", err)
		}
	})
}

func TestFS_Lock(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, ".lock")
		l, err := fsys.Lock(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fsys.Lock(name); !errors.Is(err, ErrLocked) {
			t.Errorf("second: %v", err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if l, err = fsys.Lock(name); err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
	})
}

func TestMem_PowerCut(t *testing.T) {
	t.Parallel()
	m := NewMem()
	f := write(t, m, "/a", "synced")
	if err := errors.Join(f.Sync(), m.SyncDir("/")); err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteAt([]byte("X"), 0)
	g := write(t, m, "/b", "the name was never synced")
	_ = g.Sync()
	after := m.PowerCut(nil)
	if got := read(t, after, "/a") + read(t, after, "/b"); got != "synced-" {
		t.Errorf("%q", got)
	}
	if got := read(t, m, "/a"); got != "Xynced" {
		t.Errorf("the file system that lost power changed: %q", got)
	}
}

// With luck, anything between nothing and all of what was not synced survives, by pages.
func TestMem_PowerCutWithLuck(t *testing.T) {
	t.Parallel()
	m := NewMem()
	f := write(t, m, "/a", strings.Repeat("s", pageSize/2))
	if err := errors.Join(f.Sync(), m.SyncDir("/")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(bytes.Repeat([]byte("n"), 3*pageSize), pageSize/2); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for seed := range uint64(200) {
		got := read(t, m.PowerCut(rand.New(rand.NewPCG(seed, 0))), "/a")
		if !strings.HasPrefix(got, strings.Repeat("s", pageSize/2)) {
			t.Fatal("lost what was synced")
		}
		var pages []byte // the first of each
		for at := pageSize / 2; at < len(got); at = at/pageSize*pageSize + pageSize {
			pages = append(pages, got[at])
		}
		seen[string(pages)] = true
	}
	if len(seen) < 8 {
		t.Errorf("only %d outcomes: %v", len(seen), seen)
	}
}

func TestWrap_FailsAndTraces(t *testing.T) {
	t.Parallel()
	var trace []string
	broken := errors.New("broken")
	var next error
	m := NewMem()
	w := Wrap(m, func(op Op) error {
		trace = append(trace, op.String())
		return next
	})
	f := write(t, w, "/a", "abc")
	_, _ = w.Open("/a", os.O_RDWR|os.O_CREATE) // is there: nothing is created
	next = broken
	for what, err := range map[string]error{"sync": f.Sync(), "truncate": f.Truncate(1), "rename": w.Rename("/a", "/b"), "mkdir": w.Mkdir("/d"), "syncdir": w.SyncDir("/")} {
		if !errors.Is(err, broken) {
			t.Errorf("%s: %v", what, err)
		}
	}
	next = &PartialError{N: 2, Err: broken}
	if n, err := f.WriteAt([]byte("XYZ"), 0); n != 2 || !errors.Is(err, broken) {
		t.Errorf("partial write: %d, %v", n, err)
	}
	if got := read(t, m, "/a"); got != "XYc" {
		t.Errorf("%q", got)
	}
	if trace[0] != "create /a" || trace[1] != "write /a at 0: 3 bytes" || len(trace) != 8 {
		t.Errorf("%q", trace)
	}
}
