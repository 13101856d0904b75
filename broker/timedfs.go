package broker

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/broker/internal/vfs"
)

// timedFS measures syncs and how much was written before each.
type timedFS struct {
	vfs.FS
	took, size prometheus.Observer
}

// Open implements vfs.FS.
func (t *timedFS) Open(name string, flag int) (vfs.File, error) {
	f, err := t.FS.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return &timedFile{File: f, fs: t}, nil
}

type timedFile struct {
	vfs.File
	fs      *timedFS
	written atomic.Int64
}

// WriteAt implements vfs.File.
func (f *timedFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(p, at)
	f.written.Add(int64(n))
	return n, err
}

// Sync implements vfs.File.
func (f *timedFile) Sync() error {
	size, began := f.written.Swap(0), time.Now()
	err := f.File.Sync()
	f.fs.took.Observe(time.Since(began).Seconds())
	f.fs.size.Observe(float64(size))
	return err
}
