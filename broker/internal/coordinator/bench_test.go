package coordinator

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"millrace/broker/internal/group"
	"millrace/broker/internal/statelog"
)

// instantLog is durable at once and keeps nothing.
type instantLog struct{ batches atomic.Int64 }

func (*instantLog) Topic() ([16]byte, int32)     { return [16]byte{}, 50 }
func (*instantLog) Create(context.Context) error { return nil }
func (l *instantLog) Append(_ context.Context, _ int32, batches []statelog.Batch) []error {
	l.batches.Add(1)
	return make([]error, len(batches))
}
func (*instantLog) Read(context.Context, int32, func(statelog.Batch) error) error { return nil }

func loadedForBench(b *testing.B, log Log) *Coordinator {
	b.Helper()
	loads := make(loadEvents, 50)
	cfg := testConfig()
	c := Start(cfg, log, loads)
	b.Cleanup(func() { _ = c.Close() })
	for range 50 {
		<-loads
	}
	return c
}

func BenchmarkHeartbeat(b *testing.B) {
	c := loadedForBench(b, &instantLog{})
	m := &consumer{c: c, group: "g"}
	if err := m.join(); err != nil {
		b.Fatal(err)
	}
	if _, err := m.sync(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := m.heartbeat(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCommit commits one offset a request, from many clients at once, on a disk
// that takes no time: what the coordinator itself costs.
func BenchmarkCommit(b *testing.B) {
	log := &instantLog{}
	c := loadedForBench(b, log)
	b.ReportAllocs()
	var n atomic.Int64
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		id := fmt.Sprint("g", n.Add(1))
		for i := int64(0); pb.Next(); i++ {
			if err := commit(c, id, i); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/float64(log.batches.Load()), "commits/batch")
}

// BenchmarkLoad reads a partition with a million commits of a thousand offsets.
func BenchmarkLoad(b *testing.B) {
	log := newFakeLog(1)
	log.created = true
	for i := range 1_000_000 {
		tp := group.TopicPartition{Topic: "orders", Partition: int32(i % 1000)}
		log.durable[0] = append(log.durable[0], encode("g", group.OffsetRecord{TopicPartition: tp, Offset: group.Offset{Offset: int64(i), Committed: time.UnixMilli(1)}}))
	}
	for b.Loop() {
		loads := make(loadEvents, 1)
		c := Start(testConfig(), log, loads)
		if l := <-loads; l.Err != nil || l.Offsets != 1000 {
			b.Fatalf("%+v", l)
		}
		_ = c.Close()
	}
}
