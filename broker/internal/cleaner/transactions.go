package cleaner

import (
	"cmp"
	"slices"

	"millrace/broker/internal/record"
)

// AbortedTxn is an aborted transaction: the producer's records from First up to the marker at Last do not count.
type AbortedTxn struct {
	ProducerID  int64
	First, Last record.Offset
	Stable      record.Offset
}

// Transactions follows the transactions on the way through a log (Kafka's CleanedTransactionMetadata).
type Transactions struct {
	ahead     []AbortedTxn // not reached yet, rising by First
	aborted   map[int64]*abortedTxn
	committed map[int64]bool // producers with records of a transaction that is not aborted
}

type abortedTxn struct {
	AbortedTxn
	observed bool // there are batches of it
}

// NewTransactions begins before the first batch.
func NewTransactions() *Transactions {
	return &Transactions{aborted: map[int64]*abortedTxn{}, committed: map[int64]bool{}}
}

// Add tells of aborted transactions that have batches ahead. One that was told already may come again.
func (t *Transactions) Add(list []AbortedTxn) {
	t.ahead = append(t.ahead, list...)
	slices.SortStableFunc(t.ahead, func(a, b AbortedTxn) int { return cmp.Compare(a.First, b.First) })
}

func (t *Transactions) reach(o record.Offset) {
	n := 0
	for ; n < len(t.ahead) && t.ahead[n].First <= o; n++ {
		if a := t.ahead[n]; t.aborted[a.ProducerID] == nil {
			t.aborted[a.ProducerID] = &abortedTxn{AbortedTxn: a}
		}
	}
	t.ahead = t.ahead[n:]
}

// Data is called with each batch of records. It tells whether the batch was aborted.
func (t *Transactions) Data(b record.Batch) (aborted bool) {
	t.reach(b.LastOffset())
	if !b.Transactional() {
		return false
	}
	if a := t.aborted[b.ProducerID()]; a != nil {
		a.observed = true
		return true
	}
	t.committed[b.ProducerID()] = true
	return false
}

// Marker is called with each control batch. done tells that no batch of its transaction is left before it; keep is the
// transaction that readers still have to be told of, nil if there is none.
func (t *Transactions) Marker(b record.Batch) (done bool, keep *AbortedTxn) {
	t.reach(b.LastOffset())
	if b.Count() == 0 {
		return true, nil // emptied by an earlier run
	}
	m, ok, err := b.Marker()
	switch id := b.ProducerID(); {
	case !ok || err != nil: // not about transactions
		return false, nil
	case m.Commit:
		done = !t.committed[id]
		delete(t.committed, id)
		return done, nil
	default:
		a := t.aborted[id]
		delete(t.aborted, id)
		if a == nil || !a.observed {
			return true, nil
		}
		return false, &a.AbortedTxn
	}
}
