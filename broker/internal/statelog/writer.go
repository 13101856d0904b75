package statelog

import (
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// maxBatch bounds the records that go into one batch, in bytes. The records of one
// request are never split: they count together or not at all. message.max.bytes is
// 1 MiB by default.
const maxBatch = 256 << 10

// writer writes what the machines of a shard have to keep. While one batch is on its
// way to the disk, the next gathers.
type writer[M, I any] struct {
	mu      sync.Mutex
	queue   []queued[M, I]
	running bool // a goroutine is at it
}

// queued is one wish to write: of a machine (e, seq), or of somebody else (done).
type queued[M, I any] struct {
	e     *Entry[M, I]
	seq   uint64
	done  func(err *kerr.Error)
	batch Batch
	size  int
}

// enqueue hands in what has to be written, for a machine under its lock, so that the order
// is kept. It reports false after Close, when nothing is written any more.
func (s *shard[M, I]) enqueue(q queued[M, I]) bool {
	for _, r := range q.batch.Records {
		q.size += r.size()
	}
	w := &s.writer
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, q)
	if !w.running {
		w.running = s.r.Spawn(s.write)
	}
	return w.running
}

// write writes batches until there is nothing left.
func (s *shard[M, I]) write() {
	for {
		work := s.writer.take()
		if work == nil {
			return
		}
		if s.hasEnded() || s.r.end(s.of) { // nothing of it may get into one that is made again
			for _, q := range work {
				if q.e == nil {
					q.done(kerr.NotCoordinator)
				}
			}
			continue
		}
		batches, of := gather(work)
		records := 0
		for _, b := range batches {
			records += len(b.Records)
		}
		start := time.Now()
		errs := s.r.log.Append(s.r.ctx, s.partition, batches)
		s.r.events.Wrote(s.partition, records, len(work), time.Since(start), firstError(errs))
		for i, q := range work {
			err := storeError(errs[of[i]])
			if q.e == nil {
				q.done(err)
				continue
			}
			q.e.mu.Lock()
			if !s.hasEnded() {
				q.e.Step(s.r.rules.Written(q.seq, err))
			}
			q.e.mu.Unlock()
		}
	}
}

// gather joins what may share a batch: records outside of transactions that follow one
// another. of tells which batch each wish went into.
func gather[M, I any](work []queued[M, I]) (batches []Batch, of []int) {
	of = make([]int, len(work))
	for i, q := range work {
		plain := q.batch.Producer == nil
		if n := len(batches); plain && n > 0 && batches[n-1].Producer == nil {
			batches[n-1].Records = append(batches[n-1].Records, q.batch.Records...)
		} else {
			b := q.batch
			b.Records = append([]Record(nil), b.Records...)
			batches = append(batches, b)
		}
		of[i] = len(batches) - 1
	}
	return batches, of
}

// storeError is what a client is told of a failed write. It has to look for the
// coordinator again, or to retry.
func storeError(err error) *kerr.Error {
	if err == nil {
		return nil
	}
	var k *kerr.Error
	if !errors.As(err, &k) {
		return kerr.UnknownServerError
	}
	switch k {
	case kerr.UnknownTopicOrPartition, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut:
		return kerr.CoordinatorNotAvailable
	case kerr.NotLeaderForPartition, kerr.KafkaStorageError:
		return kerr.NotCoordinator
	case kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidFetchSize:
		return kerr.UnknownServerError
	}
	return k
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// take returns what is written next, nil if there is nothing.
func (w *writer[M, I]) take() []queued[M, I] {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, size := 0, 0
	for n < len(w.queue) && (n == 0 || size+w.queue[n].size <= maxBatch) {
		size += w.queue[n].size
		n++
	}
	work := w.queue[:n:n]
	if w.queue = w.queue[n:]; len(w.queue) == 0 {
		w.queue = nil
	}
	if n == 0 {
		w.running = false
		return nil
	}
	return work
}
