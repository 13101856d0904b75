package storage

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

// faulty is a file system whose next operation of a kind on a kind of file fails.
type faulty struct {
	kind, suffix string
	err          error
	armed        atomic.Bool
}

func (f *faulty) hook(op vfs.Op) error {
	if op.Kind == f.kind && strings.HasSuffix(op.Path, f.suffix) && f.armed.Load() {
		return f.err
	}
	return nil
}

func TestFaults_Append(t *testing.T) {
	t.Parallel()
	broken := errors.New("input/output error")
	for _, test := range []struct {
		name    string
		fault   *faulty
		offline bool
		want    error
	}{
		{"disk full", &faulty{kind: "write", suffix: ".log", err: syscall.ENOSPC}, false, ErrNoSpace},
		{"disk full after a part", &faulty{kind: "write", suffix: ".log", err: &vfs.PartialError{N: 50, Err: syscall.ENOSPC}}, false, ErrNoSpace},
		{"short write", &faulty{kind: "write", suffix: ".log", err: &vfs.PartialError{N: 50, Err: io.ErrShortWrite}}, true, io.ErrShortWrite},
		{"write fails", &faulty{kind: "write", suffix: ".log", err: broken}, true, broken},
		{"sync fails", &faulty{kind: "sync", suffix: ".log", err: broken}, true, broken},
		{"folder sync fails", &faulty{kind: "syncdir", suffix: "orders-0", err: broken}, true, broken},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			mem := vfs.NewMem()
			f := newFixture(t, vfs.Wrap(mem, test.fault.hook))
			l := f.log()
			good := 0
			if test.fault.kind == "write" {
				f.append(l, batch(t, 0, 3, 0))
				good = 3
			}
			test.fault.armed.Store(true)
			info, err := l.Append(batch(t, 1, 3, 0), AppendOptions{})
			if err == nil {
				err = l.WaitSynced(context.Background(), info.Last+1)
			}
			if !errors.Is(err, test.want) {
				t.Fatalf("append: %v", err)
			}
			test.fault.armed.Store(false)
			_, err = l.Append(batch(t, 2, 3, 0), AppendOptions{})
			if !test.offline {
				if err != nil {
					t.Fatalf("append when there is room again: %v", err)
				}
				if got := values(t, l, 0, 1000); len(got) != good+3 {
					t.Errorf("%d values, want %d", len(got), good+3)
				}
				return
			}
			// Never again, whatever the disk says now.
			if !errors.Is(err, ErrOffline) || !errors.Is(f.dir.Err(), ErrOffline) {
				t.Errorf("append after the failure: %v", err)
			}
			if _, err := l.Read(0, 1, 1, true); !errors.Is(err, ErrOffline) {
				t.Errorf("read after the failure: %v", err)
			}
			if err := l.WaitSynced(context.Background(), 100); !errors.Is(err, ErrOffline) {
				t.Errorf("wait after the failure: %v", err)
			}
			if err := f.dir.Close(); !errors.Is(err, ErrOffline) {
				t.Errorf("close after the failure: %v", err)
			}
			if ok, _ := vfs.Exists(mem, filepath.Join("/data", cleanShutdownFile)); ok {
				t.Error("marked as cleanly shut down")
			}
			if l.SyncedOffset() > record.Offset(good) {
				t.Errorf("%d counts as synced", l.SyncedOffset())
			}
			f.fs = mem
			f.open()
			if got := values(t, f.log(), 0, 1000); len(got) < good {
				t.Errorf("%d values after recovery, %d were acknowledged", len(got), good)
			}
		})
	}
}

func TestFaults_WaitersHearOfFailure(t *testing.T) {
	t.Parallel()
	fault := faulty{kind: "sync", suffix: ".log", err: errors.New("input/output error")}
	fault.armed.Store(true)
	f := newFixture(t, vfs.Wrap(vfs.NewMem(), fault.hook))
	l := f.log()
	errs := make(chan error)
	for range 10 {
		go func() { errs <- l.WaitSynced(context.Background(), 3) }()
	}
	if _, err := l.Append(batch(t, 0, 3, 0), AppendOptions{}); err != nil && !errors.Is(err, ErrOffline) {
		t.Fatal(err)
	}
	for range 10 {
		if err := <-errs; !errors.Is(err, ErrOffline) {
			t.Errorf("waiter got %v", err)
		}
	}
}

func TestDir_Lock(t *testing.T) {
	t.Parallel()
	for _, fs := range []vfs.FS{vfs.NewMem(), vfs.OS{}} {
		path := filepath.Join(t.TempDir(), "data")
		d, err := OpenDir(fs, path, testOptions())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenDir(fs, path, testOptions()); !errors.Is(err, vfs.ErrLocked) {
			t.Errorf("second opening: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
		if d, err = OpenDir(fs, path, testOptions()); err != nil {
			t.Fatal(err)
		}
		d.Crash()
		o := testOptions()
		o.ClusterID = "another-cluster-000000"
		if _, err := OpenDir(fs, path, o); err == nil || !strings.Contains(err.Error(), "belongs to cluster") {
			t.Errorf("another cluster: %v", err)
		}
	}
}

func TestDir_Delete(t *testing.T) {
	t.Parallel()
	f := newFixture(t, vfs.NewMem())
	l := f.log()
	f.append(l, batch(t, 0, 3, 0))
	span, err := l.Read(0, 1000, 3, true)
	if err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(span.Bytes())
	if err := f.dir.Delete(orders); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(span.Bytes(), before) {
		t.Error("a span that was read before changed")
	}
	span.Release()
	if _, err := l.Append(batch(t, 0, 3, 0), AppendOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("append: %v", err)
	}
	if _, err := l.Read(0, 1000, 3, true); !errors.Is(err, ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if err := l.WaitSynced(context.Background(), 9); !errors.Is(err, ErrClosed) {
		t.Errorf("wait: %v", err)
	}
	if list, err := f.dir.Partitions(); err != nil || len(list) != 0 {
		t.Errorf("partitions: %v, %v", list, err)
	}
	if err := f.dir.Delete(orders); !errors.Is(err, ErrNotFound) {
		t.Errorf("delete again: %v", err)
	}
	other := TopicID{9}
	l, err = f.dir.OpenOrCreate(orders, other, f.config)
	if err != nil || l.EndOffset() != 0 {
		t.Fatalf("created again: %v", err)
	}
	if _, err := f.dir.OpenOrCreate(orders, topicID, f.config); !errors.Is(err, ErrTopicID) {
		t.Errorf("open with the old topic id: %v", err)
	}
	if err := f.dir.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := f.fs.ReadDir("/data")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), deletedFolderTail) {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}
