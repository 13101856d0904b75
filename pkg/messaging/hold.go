package messaging

import (
	"cmp"
	"container/heap"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"millrace/pkg/events"
)

// The records of a retry partition are due at different times: a wait of 30 s may lie
// before one of 5 s, and both before a redrive that is due at once. So a partition's
// records are read ahead into a hold and handed on when they are due, the earliest
// first; and the group's offset stays at the lowest that is not finished, which a
// ledger knows. The alternatives were worse: to wait for each in the order of the log
// lets the longest wait rule; to write what is not due to the end again and again never
// rests; a topic for each wait means many more topics and readers.
//
// Both are bounded. With a full hold, nothing is read until something is due, which is
// the longest wait at most. When maxSpan records have been finished behind one that is
// not due, that one is written to the end of the topic, so that the offset can move: a
// crash or a rebalance brings back what was finished beyond the offset, and the inbox
// has to drop it.
const (
	maxHeld      = 1024
	maxHeldBytes = 1 << 20
	maxSpan      = 1024
)

// heldRecord is a record and when it is due.
type heldRecord struct {
	record *sarama.ConsumerMessage
	due    time.Time
}

// hold keeps records until they are due. It is not safe for concurrent use.
type hold struct {
	records recordHeap
	bytes   int
}

func (h *hold) full() bool { return len(h.records) >= maxHeld || h.bytes >= maxHeldBytes }

func (h *hold) add(record *sarama.ConsumerMessage) {
	heap.Push(&h.records, heldRecord{record, dueAt(record)})
	h.bytes += sizeOf(record)
}

// first returns the record that is due first.
func (h *hold) first() (heldRecord, bool) {
	if len(h.records) == 0 {
		return heldRecord{}, false
	}
	return h.records[0], true
}

// at returns the record with an offset.
func (h *hold) at(offset int64) (heldRecord, bool) {
	for _, r := range h.records {
		if r.record.Offset == offset {
			return r, true
		}
	}
	return heldRecord{}, false
}

func (h *hold) remove(record *sarama.ConsumerMessage) {
	for i, r := range h.records {
		if r.record == record {
			heap.Remove(&h.records, i)
			h.bytes -= sizeOf(record)
			return
		}
	}
}

func sizeOf(record *sarama.ConsumerMessage) int {
	size := len(record.Key) + len(record.Value)
	for _, h := range record.Headers {
		size += len(h.Key) + len(h.Value)
	}
	return size
}

// dueAt reads when a record is due. What cannot be read is due at once: the consumer
// says what is wrong with it.
func dueAt(record *sarama.ConsumerMessage) time.Time {
	headers := make(map[string]string, len(record.Headers))
	for _, h := range record.Headers {
		headers[string(h.Key)] = string(h.Value)
	}
	retry, ok, err := events.ParseRetry(headers)
	if !ok || err != nil || retry.NotBefore.Before(record.Timestamp) || tooFar(retry) {
		return record.Timestamp
	}
	return retry.NotBefore
}

// tooFar tells whether a record is to wait for longer than anything of ours.
func tooFar(r events.Retry) bool { return time.Until(r.NotBefore) > events.MaxDelay }

// recordHeap is a heap.Interface: the earliest due first, then by offset.
type recordHeap []heldRecord

func (h *recordHeap) Len() int { return len(*h) }
func (h *recordHeap) Less(i, j int) bool {
	a, b := (*h)[i], (*h)[j]
	return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.record.Offset, b.record.Offset)) < 0
}
func (h *recordHeap) Swap(i, j int) { (*h)[i], (*h)[j] = (*h)[j], (*h)[i] }
func (h *recordHeap) Push(r any)    { *h = append(*h, r.(heldRecord)) }
func (h *recordHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = heldRecord{}
	*h = (*h)[:last]
	return r
}

// ledger knows which records of a claim are not finished.
type ledger struct {
	// mu guards all below: one goroutine takes, another finishes.
	mu sync.Mutex
	// taken are the records from the lowest unfinished one on, by offset.
	taken []takenRecord
	// position is the offset that the group may commit: all below it is finished. -1:
	// not known yet.
	position int64
}

type takenRecord struct {
	offset   int64
	finished bool
}

func newLedger(initial int64) *ledger { return &ledger{position: max(initial, -1)} }

// take notes a record; offsets only grow.
func (l *ledger) take(offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.taken) == 0 {
		l.position = offset
	}
	l.taken = append(l.taken, takenRecord{offset: offset})
}

// finish returns the position, and whether that moved.
func (l *ledger) finish(offset int64) (position int64, moved bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, found := slices.BinarySearchFunc(l.taken, offset, func(r takenRecord, offset int64) int { return cmp.Compare(r.offset, offset) })
	if !found {
		return l.position, false
	}
	l.taken[i].finished = true
	done := 0
	for done < len(l.taken) && l.taken[done].finished {
		l.position = l.taken[done].offset + 1
		done++
	}
	l.taken = slices.Delete(l.taken, 0, done)
	if len(l.taken) > 0 {
		l.position = l.taken[0].offset
	}
	return l.position, done > 0
}

// at returns the position, and whether too many records have been taken beyond it.
func (l *ledger) at() (position int64, crowded bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.position, len(l.taken) > maxSpan+maxHeld
}
