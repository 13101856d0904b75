package storage

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"millrace/broker/internal/record"
	"millrace/broker/internal/vfs"
)

func benchLog(b *testing.B, o DirOptions, change func(*LogConfig)) *Log {
	b.Helper()
	d, err := OpenDir(vfs.OS{}, filepath.Join(b.TempDir(), "data"), o)
	if err != nil {
		b.Fatal(err)
	}
	c := DefaultLogConfig()
	if change != nil {
		change(&c)
	}
	l, err := d.Create(orders, topicID, c)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := d.Close(); err != nil {
			b.Error(err)
		}
	})
	return l
}

func kibibyte(b *testing.B) record.Batch {
	b.Helper()
	var build record.Builder
	for range 10 {
		build.Add(epoch0.UnixMilli(), []byte("customer_123"), make([]byte, 70))
	}
	out, err := build.Build()
	if err != nil {
		b.Fatal(err)
	}
	return out
}

func noFlush(c *LogConfig) { c.FlushMessages = 1 << 62 }

func benchAppend(b *testing.B, l *Log, wait bool) {
	b.Helper()
	source := kibibyte(b)
	batch := slices.Clone(source)
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	for b.Loop() {
		copy(batch, source[:record.HeaderSize])
		info, err := l.Append(batch, AppendOptions{Now: epoch0})
		if err == nil && wait {
			err = l.WaitSynced(context.Background(), info.Last+1)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppend hands 1 KiB batches to the operating system.
func BenchmarkAppend(b *testing.B) { benchAppend(b, benchLog(b, testOptions(), noFlush), false) }

// BenchmarkAppendSynced waits for the disk after each 1 KiB batch, one writer.
func BenchmarkAppendSynced(b *testing.B) { benchAppend(b, benchLog(b, testOptions(), nil), true) }

// BenchmarkAppendSyncedParallel has 64 writers share the syncs.
func BenchmarkAppendSyncedParallel(b *testing.B) {
	l := benchLog(b, testOptions(), nil)
	source := kibibyte(b)
	b.SetBytes(int64(len(source)))
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		batch := slices.Clone(source)
		for pb.Next() {
			copy(batch, source[:record.HeaderSize])
			info, err := l.Append(batch, AppendOptions{Now: epoch0})
			if err == nil {
				err = l.WaitSynced(context.Background(), info.Last+1)
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func benchRead(b *testing.B, o DirOptions, maxBytes int) {
	b.Helper()
	l := benchLog(b, o, noFlush)
	source := kibibyte(b)
	for range 4096 {
		if _, err := l.Append(slices.Clone(source), AppendOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	end := l.EndOffset()
	first := end - end/4 // the last MiB, which the cache still has
	next, read := first, int64(0)
	b.ReportAllocs()
	for b.Loop() {
		span, err := l.Read(next, maxBytes, end, true)
		if err != nil {
			b.Fatal(err)
		}
		read += int64(span.Len())
		next += record.Offset(span.Len() / len(source) * 10)
		span.Release()
		if next >= end {
			next = first
		}
	}
	b.SetBytes(read / int64(b.N))
}

func BenchmarkReadCached(b *testing.B) { benchRead(b, testOptions(), 64<<10) }

func BenchmarkReadDisk(b *testing.B) {
	o := testOptions()
	o.CacheBytes = -1
	benchRead(b, o, 64<<10)
}

// BenchmarkOpen opens a folder of 100 logs that was closed in order.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "data")
	use := func() *Dir {
		d, err := OpenDir(vfs.OS{}, path, testOptions())
		if err != nil {
			b.Fatal(err)
		}
		for i := range int32(100) {
			if _, err := d.OpenOrCreate(Partition{"t", i}, topicID, DefaultLogConfig()); err != nil {
				b.Fatal(err)
			}
		}
		return d
	}
	d := use()
	for _, l := range d.Logs() {
		if _, err := l.Append(kibibyte(b), AppendOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		b.StopTimer()
		if err := d.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		d = use()
	}
	d.Crash()
}
