package storage

import (
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"millrace/broker/internal/record"
)

// Chunks of the tail cache: the first of a log is small, so that many quiet logs
// cost little; those after it are large.
const (
	firstChunk  = 16 << 10
	chunkSize   = 256 << 10
	markEvery   = 4096
	cacheMaxAge = time.Minute
)

// tailCache keeps the newest bytes of all logs within one budget. Chunks leave in the order in which
// they came, whosever they are; that keeps each log's tail in one piece.
type tailCache struct {
	budget int64

	mu   sync.Mutex // guards what follows; taken before a log's lock is, never inside it
	used int64
	fifo []*chunk
}

// chunk is a piece of the tail of one log: whole batches, one after the other. The bytes up to
// size never change while somebody holds a reference.
type chunk struct {
	log   *Log
	buf   []byte
	refs  atomic.Int32
	since time.Time // when it was begun

	// guarded by log.mu
	size    int
	first   record.Offset
	next    record.Offset // end of the last batch
	marks   []mark        // where batches begin, every markEvery bytes
	dropped bool          // pushed out
}

type mark struct {
	offset record.Offset
	at     int
}

var chunkPool sync.Pool // of *[]byte with chunkSize

// tail is the cached end of one log, oldest chunk first. It is guarded by Log.mu, except that the
// append lock alone allows to fill the unpublished rest of the last chunk.
type tail struct{ chunks []*chunk }

// put copies batches, which begin at offset first, behind the tail of l. The caller holds l's append
// lock but not l.mu; tail.publish makes the copy visible. It returns nil when there is no room for them.
func (c *tailCache) put(l *Log, batches []byte, first record.Offset, now time.Time) *chunk {
	if int64(len(batches)) > c.budget/4 {
		return nil
	}
	last := l.lastChunk(first)
	if last == nil || len(last.buf)-last.size < len(batches) {
		want := chunkSize
		if last == nil {
			want = firstChunk
		} else {
			last.unref()
		}
		last = c.begin(l, max(want, len(batches)), first, now)
	}
	copy(last.buf[last.size:], batches)
	return last
}

// lastChunk returns the chunk that ends where first begins, with a reference; nil if there is none.
func (l *Log) lastChunk(first record.Offset) *chunk {
	l.mu.RLock()
	defer l.mu.RUnlock()
	n := len(l.tail.chunks)
	if n == 0 || l.tail.chunks[n-1].next != first {
		return nil
	}
	k := l.tail.chunks[n-1]
	k.refs.Add(1)
	return k
}

// publish lets readers see what put has copied, size bytes from offset first to next. Should the
// chunk have been pushed out while it was filled, the tail ends in the past and is dropped.
func (t *tail) publish(k *chunk, size int, first, next record.Offset) {
	n := len(t.chunks)
	if k == nil {
		t.drop(n)
		return
	}
	defer k.unref()
	isLast := n > 0 && t.chunks[n-1] == k
	if k.dropped || (!isLast && k.size > 0) {
		t.drop(n)
		return
	}
	if !isLast {
		if n > 0 && t.chunks[n-1].next != first {
			t.drop(n)
		}
		k.refs.Add(1) // the tail's own
		t.chunks = append(t.chunks, k)
	}
	if m := len(k.marks); m == 0 || k.size-k.marks[m-1].at >= markEvery {
		k.marks = append(k.marks, mark{first, k.size})
	}
	k.size += size
	k.next = next
}

// begin makes a chunk and pays for it with the oldest ones.
func (c *tailCache) begin(l *Log, size int, first record.Offset, now time.Time) *chunk {
	k := &chunk{log: l, since: now, first: first, next: first}
	if size == chunkSize {
		if p, _ := chunkPool.Get().(*[]byte); p != nil {
			k.buf = *p
		}
	}
	if k.buf == nil {
		k.buf = make([]byte, size)
	}
	k.refs.Store(1) // the caller's
	c.mu.Lock()
	n := 0
	for c.used += int64(size); c.used > c.budget && n < len(c.fifo); n++ {
		c.used -= int64(len(c.fifo[n].buf))
	}
	victims := c.take(n)
	c.fifo = append(c.fifo, k)
	c.mu.Unlock()
	forget(victims)
	return k
}

// expire lets go of chunks that were begun too long ago.
func (c *tailCache) expire(now time.Time) {
	c.mu.Lock()
	n := 0
	for n < len(c.fifo) && now.Sub(c.fifo[n].since) > cacheMaxAge {
		c.used -= int64(len(c.fifo[n].buf))
		n++
	}
	victims := c.take(n)
	c.mu.Unlock()
	forget(victims)
}

// take removes the oldest n chunks from the queue.
func (c *tailCache) take(n int) []*chunk {
	victims := slices.Clone(c.fifo[:n])
	c.fifo = slices.Delete(c.fifo, 0, n)
	return victims
}

// dropLog lets go of everything of a log that is closed.
func (c *tailCache) dropLog(l *Log) {
	c.mu.Lock()
	c.fifo = slices.DeleteFunc(c.fifo, func(k *chunk) bool {
		if k.log == l {
			c.used -= int64(len(k.buf))
		}
		return k.log == l
	})
	c.mu.Unlock()
	l.mu.Lock()
	l.tail.drop(len(l.tail.chunks))
	l.mu.Unlock()
}

// dropBelow lets go of what is cached of a log from before an offset, which is not what the log has any more. The
// caller holds the log's append lock.
func (c *tailCache) dropBelow(l *Log, end record.Offset) {
	old := func(k *chunk) bool { return k.log == l && k.first < end }
	c.mu.Lock()
	c.fifo = slices.DeleteFunc(c.fifo, func(k *chunk) bool {
		if old(k) {
			c.used -= int64(len(k.buf))
		}
		return old(k)
	})
	c.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.tail.chunks) && old(l.tail.chunks[n]) {
		n++
	}
	l.tail.drop(n)
}

// forget takes victims out of the tails of their logs.
func forget(victims []*chunk) {
	for _, k := range victims {
		k.log.mu.Lock()
		k.dropped = true
		if i := slices.Index(k.log.tail.chunks, k); i >= 0 {
			k.log.tail.drop(i + 1)
		}
		k.log.mu.Unlock()
	}
}

// drop lets go of the oldest n chunks.
func (t *tail) drop(n int) {
	for _, k := range t.chunks[:n] {
		k.unref()
	}
	t.chunks = slices.Delete(t.chunks, 0, n)
}

func (k *chunk) unref() {
	if k.refs.Add(-1) == 0 && len(k.buf) == chunkSize {
		buf := k.buf
		k.buf = nil
		chunkPool.Put(&buf)
	}
}

// read collects whole batches from the one that contains from, as Log.Read says; it reports false when the
// tail does not reach back that far. The caller holds the log's lock for reading.
func (t *tail) read(from record.Offset, maxBytes int, end record.Offset, minOne bool) (Span, bool) {
	n := len(t.chunks)
	if n == 0 || from < t.chunks[0].first || from >= t.chunks[n-1].next {
		return Span{}, false
	}
	i := sort.Search(n, func(i int) bool { return t.chunks[i].first > from }) - 1
	b := newSpanBody()
	for ; i < n && b.size <= maxBytes; i++ {
		k := t.chunks[i]
		start := 0
		if b.size == 0 {
			start = k.find(from)
		}
		stop := k.stop(start, maxBytes-b.size, end, minOne && b.size == 0)
		if stop > start {
			k.refs.Add(1)
			b.chunks = append(b.chunks, k)
			b.pieces = append(b.pieces, k.buf[start:stop:stop])
			b.size += stop - start
		}
		if stop < k.size {
			break
		}
	}
	return Span{b}, true
}

// find returns where the batch that contains an offset begins.
func (k *chunk) find(from record.Offset) int {
	i := sort.Search(len(k.marks), func(i int) bool { return k.marks[i].offset > from }) - 1
	at := k.marks[max(i, 0)].at
	for at < k.size {
		b := record.Batch(k.buf[at:])
		if b.NextOffset() > from {
			break
		}
		at += b.Size()
	}
	return at
}

// stop returns the end of the last whole batch below end within maxBytes of start.
func (k *chunk) stop(start, maxBytes int, end record.Offset, minOne bool) int {
	if k.next <= end && k.size-start <= maxBytes {
		return k.size
	}
	at := start
	for at < k.size {
		b := record.Batch(k.buf[at:])
		size := b.Size()
		if b.NextOffset() > end || (at+size-start > maxBytes && !(minOne && at == start)) {
			break
		}
		at += size
	}
	return at
}
