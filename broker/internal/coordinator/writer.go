package coordinator

import (
	"sync"
	"time"

	"millrace/broker/internal/group"
)

// maxBatch bounds the records that go into one batch, in bytes. The records of one
// request are never split: they count together or not at all. message.max.bytes is
// 1 MiB by default.
const maxBatch = 256 << 10

// writer writes what the groups of a shard have to keep. While one batch is on its
// way to the disk, the next gathers.
type writer struct {
	mu      sync.Mutex
	queue   []queued
	running bool // a goroutine is at it
}

// queued is one group.Persist.
type queued struct {
	e       *entry
	seq     uint64
	records []Record
	size    int
}

// enqueue hands in what a group has to write, under the group's lock, so that the
// order is kept. After Close nothing is written any more.
func (s *shard) enqueue(e *entry, p group.Persist) {
	q := queued{e: e, seq: p.Seq, records: make([]Record, len(p.Records))}
	for i, r := range p.Records {
		q.records[i] = encode(e.g.ID(), r)
		q.size += q.records[i].size()
	}
	w := &s.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, q)
	if !w.running {
		w.running = s.c.spawn(s.write)
	}
}

// write writes batches until there is nothing left.
func (s *shard) write() {
	for {
		batch := s.writer.take()
		if batch == nil {
			return
		}
		var records []Record
		for _, q := range batch {
			records = append(records, q.records...)
		}
		start := time.Now()
		err := s.c.log.Append(s.c.ctx, s.partition, records)
		s.c.events.Wrote(s.partition, len(records), len(batch), time.Since(start), err)
		for _, q := range batch {
			q.e.mu.Lock()
			q.e.step(group.Persisted{Seq: q.seq, Err: err})
			q.e.mu.Unlock()
		}
	}
}

// take returns what goes into the next batch, nil if there is nothing.
func (w *writer) take() []queued {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, size := 0, 0
	for n < len(w.queue) && (n == 0 || size+w.queue[n].size <= maxBatch) {
		size += w.queue[n].size
		n++
	}
	batch := w.queue[:n:n]
	if w.queue = w.queue[n:]; len(w.queue) == 0 {
		w.queue = nil
	}
	if n == 0 {
		w.running = false
		return nil
	}
	return batch
}
