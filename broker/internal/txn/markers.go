package txn

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// send begins to complete a transaction that is decided.
func (t *Transaction) send() {
	t.sending, t.waiting, t.tries = true, slices.Clone(t.now.Partitions), 0
	t.resume()
}

// resume sends the markers that are not there yet, or if all are, writes that down.
func (t *Transaction) resume() {
	t.retry = time.Time{}
	if len(t.waiting) == 0 {
		t.finish()
		return
	}
	t.out = true
	t.effects = append(t.effects, SendMarkers{
		Producer: t.now.Producer(), Commit: t.now.State == PrepareCommit, Version: t.now.Version,
		Partitions: slices.Clone(t.waiting),
	})
}

// onMarkersSent crosses off the partitions that have their marker.
func (t *Transaction) onMarkersSent(in MarkersSent) {
	if !t.out {
		panic("txn: markers that nobody asked for")
	}
	t.out = false
	for _, r := range in.Results {
		if r.Outcome == MarkerRetry {
			continue
		}
		if r.Outcome == MarkerRefused {
			t.event(Event{Kind: MarkerDropped, Reason: r.TopicPartition.String() + ": " + r.Reason})
		}
		if i, ok := slices.BinarySearchFunc(t.waiting, r.TopicPartition, Compare); ok {
			t.waiting = slices.Delete(t.waiting, i, i+1)
		}
	}
	if len(t.waiting) > 0 {
		t.later()
		return
	}
	t.finish()
}

// finish writes that the transaction is complete.
func (t *Transaction) finish() {
	m := t.completed()
	count, took := len(t.now.Partitions), t.clock.Sub(t.now.Started)
	kind := Aborted
	if m.State == CompleteCommit {
		kind = Committed
	}
	t.persist(&m, func(err *kerr.Error) {
		if err != nil {
			t.later()
			return
		}
		t.sending, t.waiting = false, nil
		t.event(Event{Kind: kind, Count: count, Took: took})
	})
}
