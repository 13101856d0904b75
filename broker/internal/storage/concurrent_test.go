package storage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

// TestLog_Concurrent appends to several logs from several goroutines while others read at the head and from the
// start, and checkpoints, retention and cache eviction go on. The cache is small, so that chunks come and go.
func TestLog_Concurrent(t *testing.T) {
	t.Parallel()
	o := testOptions()
	o.CacheBytes = 100 << 10
	d, err := OpenDir(vfs.NewMem(), "/data", o)
	if err != nil {
		t.Fatal(err)
	}
	c := DefaultLogConfig()
	c.SegmentBytes = 60_000
	const logs, writers, batches = 3, 3, 150
	var writing, reading sync.WaitGroup
	stop := make(chan struct{})
	for i := range logs {
		l, err := d.Create(Partition{"t", int32(i)}, topicID, c)
		if err != nil {
			t.Fatal(err)
		}
		var acked atomic.Int64
		l.OnSynced(func(o record.Offset) {
			if int64(o) < acked.Load() {
				t.Errorf("synced offset went back from %d to %d", acked.Load(), o)
			}
			acked.Store(int64(o))
		})
		for w := range writers {
			writing.Go(func() {
				for n := range batches {
					b := batch(t, n, 1+n%9, epoch0.UnixMilli(), func(b *record.Builder) {
						b.Add(epoch0.UnixMilli(), nil, make([]byte, n*20))
					})
					info, err := l.Append(b, AppendOptions{})
					if err == nil && n%10 == w {
						err = l.WaitSynced(context.Background(), info.Last+1)
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for r := range 2 {
			reading.Go(func() { follow(t, l, 1000*(1+r*50), stop) })
		}
	}
	reading.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if err := d.Checkpoint(); err != nil {
					t.Error(err)
				}
				d.retain()
			}
		}
	})
	writing.Wait()
	close(stop)
	reading.Wait()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if d.cache.used != 0 || len(d.cache.fifo) != 0 {
		t.Errorf("cache holds %d bytes after close", d.cache.used)
	}
}

// follow reads a log from the start to the end until stop is closed and the end is reached, checking each batch.
func follow(t *testing.T, l *Log, maxBytes int, stop chan struct{}) {
	t.Helper()
	next := record.Offset(0)
	for {
		ending := false
		select {
		case <-stop:
			ending = true
		default:
		}
		span, err := l.Read(next, maxBytes, l.EndOffset(), true)
		if err != nil {
			t.Error(err)
			return
		}
		if span.Len() == 0 {
			if ending {
				return
			}
			continue
		}
		_, err = eachBatch(span, func(b record.Batch) error {
			if b.BaseOffset() != next {
				return fmt.Errorf("batch at %d, want %d", b.BaseOffset(), next)
			}
			next = b.NextOffset()
			return nil
		})
		span.Release()
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// TestDir_StartStop opens, uses and closes a folder while appends are under way.
func TestDir_StartStop(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	var want record.Offset
	for i := range 30 {
		d, err := OpenDir(fs, "/data", testOptions())
		if err != nil {
			t.Fatal(err)
		}
		l, err := d.OpenOrCreate(orders, topicID, DefaultLogConfig())
		if err != nil {
			t.Fatal(err)
		}
		if l.EndOffset() < want {
			t.Fatalf("log ends at %d, %d were acknowledged", l.EndOffset(), want)
		}
		var acked atomic.Int64
		var writers sync.WaitGroup
		begun := make(chan struct{}, 4)
		for range 4 {
			writers.Go(func() {
				for n := 0; ; n++ {
					info, err := l.Append(batch(t, n, 1, 1), AppendOptions{})
					if err == nil {
						err = l.WaitSynced(context.Background(), info.Last+1)
					}
					if n == 0 {
						begun <- struct{}{}
					}
					if err != nil {
						if !errors.Is(err, ErrClosed) {
							t.Error(err)
						}
						return
					}
					for a := acked.Load(); a <= int64(info.Last) && !acked.CompareAndSwap(a, int64(info.Last)+1); a = acked.Load() {
					}
				}
			})
		}
		for range 4 {
			<-begun
		}
		if i%2 == 0 {
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		} else {
			d.Crash()
		}
		writers.Wait()
		want = record.Offset(acked.Load())
	}
}
