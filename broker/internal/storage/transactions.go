package storage

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"millrace/broker/internal/record"
)

// unstable knows which transactions keep readers of committed records back: those that are open,
// and those whose marker may still be lost. Its lock is taken last and for a few instructions.
type unstable struct {
	first atomic.Int64 // the lowest offset of them; noneUnstable where there are none

	mu      sync.Mutex // guards what follows
	open    []openTxn  // rising by first
	decided []txnEnd   // the marker is at or above the high watermark, rising by last
}

const noneUnstable = math.MaxInt64

type openTxn struct {
	producer int64
	first    record.Offset
}

// txnEnd is a transaction that a marker at offset last has ended.
type txnEnd struct {
	producer    int64
	first, last record.Offset
	abort       bool
}

func newUnstable() *unstable {
	u := &unstable{}
	u.first.Store(noneUnstable)
	return u
}

// begin notes the first batch of a transaction.
func (u *unstable) begin(producer int64, first record.Offset) {
	u.mu.Lock()
	defer u.mu.Unlock()
	i, _ := slices.BinarySearchFunc(u.open, first, compareFirst)
	u.open = slices.Insert(u.open, i, openTxn{producer, first})
	u.update()
}

// end notes a marker and returns up to where everything is decided once it is safe, which is
// what the index of aborted transactions keeps with it.
func (u *unstable) end(t txnEnd) (stable record.Offset) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if i, ok := slices.BinarySearchFunc(u.open, t.first, compareFirst); ok {
		u.open = slices.Delete(u.open, i, i+1)
	}
	u.decided = append(u.decided, t)
	u.update()
	if len(u.open) > 0 {
		return u.open[0].first
	}
	return t.last + 1
}

// settle forgets the decided transactions whose marker is below the high watermark.
func (u *unstable) settle(watermark record.Offset) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for n < len(u.decided) && u.decided[n].last < watermark {
		n++
	}
	if n > 0 {
		u.decided = slices.Delete(u.decided, 0, n)
		u.update()
	}
}

// update is called with mu held.
func (u *unstable) update() {
	first := int64(noneUnstable)
	if len(u.open) > 0 {
		first = int64(u.open[0].first)
	}
	for _, t := range u.decided {
		first = min(first, int64(t.first))
	}
	u.first.Store(first)
}

func compareFirst(t openTxn, first record.Offset) int { return cmp.Compare(t.first, first) }

// LastStableOffset is the offset below which every record is decided: committed, aborted, or not in a
// transaction (KIP-98). watermark is the high watermark, which the caller has read before.
func (l *Log) LastStableOffset(watermark record.Offset) record.Offset {
	first := record.Offset(l.unstable.first.Load())
	if first >= watermark {
		return watermark
	}
	return min(watermark, max(first, l.StartOffset()))
}

// AbortedTxn is an aborted transaction: the producer's records from First up to its marker at Last do
// not count.
type AbortedTxn struct {
	ProducerID  int64
	First, Last record.Offset
	Stable      record.Offset // up to where everything was decided with it
}

// A .txnindex file has an entry for each aborted transaction whose marker is in the segment, in the
// order of the markers (Kafka's AbortedTxn):
//
//	version 2 = 0 | producerId 8 | firstOffset 8 | lastOffset 8 | lastStableOffset 8
const abortedEntrySize = 34

func (t AbortedTxn) encode() []byte {
	b := make([]byte, 2, abortedEntrySize)
	for _, v := range []int64{t.ProducerID, int64(t.First), int64(t.Last), int64(t.Stable)} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return b
}

func decodeAborted(b []byte) AbortedTxn {
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[i:])) }
	return AbortedTxn{ProducerID: at(2), First: record.Offset(at(10)), Last: record.Offset(at(18)), Stable: record.Offset(at(26))}
}

// AbortedTxns returns the aborted transactions with records in [from, to), by their markers. A
// reader of committed records drops the records of each from its first offset to its marker.
func (l *Log) AbortedTxns(from, to record.Offset) ([]AbortedTxn, error) {
	l.mu.RLock()
	var with []*segment
	for i, s := range l.segments {
		if last := i == len(l.segments)-1; !last && l.segments[i+1].base <= from {
			continue
		}
		if s.aborted.any() {
			with = append(with, s.acquire())
		}
	}
	l.mu.RUnlock()
	var out []AbortedTxn
	var failed error
	done := false
	for _, s := range with {
		if failed == nil && !done {
			done, failed = s.collectAborted(from, to, &out)
		}
		s.release()
	}
	return out, failed
}

// collectAborted adds the segment's part. done tells that no later segment has any.
func (s *segment) collectAborted(from, to record.Offset, out *[]AbortedTxn) (done bool, err error) {
	_, n, err := s.aborted.last(func(e []byte) bool { return decodeAborted(e).Last < from })
	if err != nil {
		return false, err
	}
	err = s.aborted.each(n+1, func(e []byte) bool {
		t := decodeAborted(e)
		if t.First < to {
			*out = append(*out, t)
		}
		done = t.Stable >= to
		return !done
	})
	return done, err
}
