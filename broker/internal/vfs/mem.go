package vfs

import (
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Mem is a file system in memory that knows what would survive a power cut: bytes of a file
// since its last Sync and names of a folder since its last SyncDir would not, or only by luck.
type Mem struct {
	mu    sync.Mutex // guards all nodes and locks
	root  *node
	locks map[string]bool
}

// node is a file or a folder.
type node struct {
	name    string
	dir     bool
	entries map[string]*node // folder: as the process sees it
	durable map[string]*node // folder: as of the last SyncDir
	data    []byte           // file: as the process sees it
	synced  []byte           // file: as of the last Sync
	pending []change         // file: what happened since
}

// change is a write of data at an offset, or, when data is nil, a truncation to it.
type change struct {
	offset int64
	data   []byte
}

func (c change) apply(to []byte) []byte {
	if c.data == nil {
		return resize(to, int(c.offset))
	}
	if end := int(c.offset) + len(c.data); end > len(to) {
		to = resize(to, end)
	}
	copy(to[c.offset:], c.data)
	return to
}

// resize cuts p or fills it up with zeros.
func resize(p []byte, size int) []byte {
	if size <= len(p) {
		clear(p[size:])
		return p[:size]
	}
	return slices.Grow(p, size-len(p))[:size]
}

// NewMem returns an empty file system.
func NewMem() *Mem {
	return &Mem{root: newDir("/"), locks: map[string]bool{}}
}

func newDir(name string) *node {
	return &node{name: name, dir: true, entries: map[string]*node{}, durable: map[string]*node{}}
}

func split(name string) []string {
	clean := strings.Trim(filepath.ToSlash(filepath.Clean(name)), "/")
	if clean == "" || clean == "." {
		return nil
	}
	return strings.Split(clean, "/")
}

func fail(op, name string, err error) error { return &fs.PathError{Op: op, Path: name, Err: err} }

// find returns the node of a path, nil if there is none.
func (m *Mem) find(name string) *node {
	n := m.root
	for _, part := range split(name) {
		if n = n.entries[part]; n == nil {
			return nil
		}
	}
	return n
}

// parent returns the folder of a path and the last part of it; a nil folder when there is none.
func (m *Mem) parent(name string) (*node, string) {
	p := m.find(filepath.Dir(filepath.Clean(name)))
	if p == nil || !p.dir {
		return nil, ""
	}
	return p, filepath.Base(name)
}

// Open implements FS.
func (m *Mem) Open(name string, flag int) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(name)
	switch {
	case n != nil && n.dir:
		return nil, fail("open", name, syscall.EISDIR)
	case n != nil && flag&os.O_EXCL != 0:
		return nil, fail("open", name, fs.ErrExist)
	case n == nil && flag&os.O_CREATE == 0:
		return nil, fail("open", name, fs.ErrNotExist)
	case n == nil:
		dir, base := m.parent(name)
		if dir == nil {
			return nil, fail("open", name, fs.ErrNotExist)
		}
		n = &node{name: base}
		dir.entries[base] = n
	}
	if flag&os.O_TRUNC != 0 {
		n.change(change{offset: 0})
	}
	return &memFile{m: m, n: n}, nil
}

// change does it, and remembers that it is not durable.
func (n *node) change(c change) {
	n.data = c.apply(n.data)
	n.pending = append(n.pending, c)
}

// Mkdir implements FS.
func (m *Mem) Mkdir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base := m.parent(name)
	if dir == nil {
		return fail("mkdir", name, fs.ErrNotExist)
	}
	if dir.entries[base] != nil {
		return fail("mkdir", name, fs.ErrExist)
	}
	dir.entries[base] = newDir(base)
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root
	for _, part := range split(name) {
		next := n.entries[part]
		if next == nil {
			next = newDir(part)
			n.entries[part] = next
		}
		if !next.dir {
			return fail("mkdir", name, syscall.ENOTDIR)
		}
		n = next
	}
	return nil
}

// Rename implements FS.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	fromDir, fromBase := m.parent(from)
	toDir, toBase := m.parent(to)
	if fromDir == nil || toDir == nil || fromDir.entries[fromBase] == nil {
		return fail("rename", from, fs.ErrNotExist)
	}
	n := fromDir.entries[fromBase]
	delete(fromDir.entries, fromBase)
	toDir.entries[toBase] = n
	n.name = toBase
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base := m.parent(name)
	if dir == nil || dir.entries[base] == nil {
		return fail("remove", name, fs.ErrNotExist)
	}
	if n := dir.entries[base]; n.dir && len(n.entries) > 0 {
		return fail("remove", name, syscall.ENOTEMPTY)
	}
	delete(dir.entries, base)
	return nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(name string) ([]fs.DirEntry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(name)
	if n == nil || !n.dir {
		return nil, fail("readdir", name, fs.ErrNotExist)
	}
	var list []fs.DirEntry
	for _, base := range slices.Sorted(maps.Keys(n.entries)) {
		list = append(list, fs.FileInfoToDirEntry(n.entries[base].info()))
	}
	return list, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(name)
	if n == nil {
		return nil, fail("stat", name, fs.ErrNotExist)
	}
	return n.info(), nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(name)
	if n == nil || !n.dir {
		return fail("syncdir", name, fs.ErrNotExist)
	}
	n.durable = maps.Clone(n.entries)
	return nil
}

// Lock implements FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	f, err := m.Open(name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, fail("lock", name, ErrLocked)
	}
	m.locks[name] = true
	return &memLock{m: m, name: name, f: f}, nil
}

type memLock struct {
	m    *Mem
	name string
	f    File
	once sync.Once
}

func (l *memLock) Close() error {
	l.once.Do(func() {
		l.m.mu.Lock()
		defer l.m.mu.Unlock()
		delete(l.m.locks, l.name)
	})
	return l.f.Close()
}

type memInfo struct {
	name string
	size int64
	dir  bool
}

func (n *node) info() memInfo { return memInfo{n.name, int64(len(n.data)), n.dir} }

func (i memInfo) Name() string { return i.name }
func (i memInfo) Size() int64  { return i.size }
func (i memInfo) IsDir() bool  { return i.dir }
func (i memInfo) Sys() any     { return nil }

// ModTime is a constant: nothing in memory keeps times.
func (i memInfo) ModTime() time.Time { return time.Unix(0, 0) }

func (i memInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

// Space implements FS: a disk of a tebibyte, of which nothing is counted as used.
func (m *Mem) Space(string) (total, usable int64, err error) { return 1 << 40, 1 << 40, nil }
