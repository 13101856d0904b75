package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Op is one operation that changes something, as a hook sees it.
type Op struct {
	Kind   string // create, write, sync, truncate, rename, remove, mkdir, syncdir
	Path   string
	To     string // rename
	Offset int64  // write; new size of truncate
	Len    int    // write
}

// String is the operation as a line of a trace.
func (o Op) String() string {
	switch o.Kind {
	case "write":
		return fmt.Sprintf("write %s at %d: %d bytes", o.Path, o.Offset, o.Len)
	case "truncate":
		return fmt.Sprintf("truncate %s to %d", o.Path, o.Offset)
	case "rename":
		return fmt.Sprintf("rename %s to %s", o.Path, o.To)
	}
	return o.Kind + " " + o.Path
}

// PartialError is an error for a hook to return for a write: N bytes are written, then Err is returned.
type PartialError struct {
	N   int
	Err error
}

func (p *PartialError) Error() string { return fmt.Sprintf("after %d bytes: %v", p.N, p.Err) }

// Unwrap returns Err.
func (p *PartialError) Unwrap() error { return p.Err }

// Wrap asks hook before each operation that changes something. An error of the hook is
// returned in place of doing it. The hook may be called from any goroutine.
func Wrap(inner FS, hook func(Op) error) FS { return &wrapped{inner, hook} }

type wrapped struct {
	FS
	hook func(Op) error
}

type wrappedFile struct {
	File
	name string
	hook func(Op) error
}

func (w *wrapped) Open(name string, flag int) (File, error) {
	if flag&os.O_CREATE != 0 {
		if ok, err := Exists(w.FS, name); err == nil && (!ok || flag&os.O_TRUNC != 0) {
			if err := w.hook(Op{Kind: "create", Path: name}); err != nil {
				return nil, err
			}
		}
	}
	f, err := w.FS.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return &wrappedFile{f, name, w.hook}, nil
}

func (w *wrapped) Mkdir(name string) error {
	if err := w.hook(Op{Kind: "mkdir", Path: name}); err != nil {
		return err
	}
	return w.FS.Mkdir(name)
}

func (w *wrapped) MkdirAll(name string) error {
	if err := w.hook(Op{Kind: "mkdir", Path: name}); err != nil {
		return err
	}
	return w.FS.MkdirAll(name)
}

func (w *wrapped) Rename(from, to string) error {
	if err := w.hook(Op{Kind: "rename", Path: from, To: to}); err != nil {
		return err
	}
	return w.FS.Rename(from, to)
}

func (w *wrapped) Remove(name string) error {
	if err := w.hook(Op{Kind: "remove", Path: name}); err != nil {
		return err
	}
	return w.FS.Remove(name)
}

func (w *wrapped) SyncDir(name string) error {
	if err := w.hook(Op{Kind: "syncdir", Path: name}); err != nil {
		return err
	}
	return w.FS.SyncDir(name)
}

func (w *wrapped) Lock(name string) (io.Closer, error)        { return w.FS.Lock(name) }
func (w *wrapped) ReadDir(name string) ([]fs.DirEntry, error) { return w.FS.ReadDir(name) }

func (f *wrappedFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.hook(Op{Kind: "write", Path: f.name, Offset: off, Len: len(p)})
	var partial *PartialError
	if errors.As(err, &partial) {
		n, werr := f.File.WriteAt(p[:min(partial.N, len(p))], off)
		if werr != nil {
			return n, werr
		}
		return n, partial.Err
	}
	if err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *wrappedFile) Sync() error {
	if err := f.hook(Op{Kind: "sync", Path: f.name}); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *wrappedFile) Truncate(size int64) error {
	if err := f.hook(Op{Kind: "truncate", Path: f.name, Offset: size}); err != nil {
		return err
	}
	return f.File.Truncate(size)
}
