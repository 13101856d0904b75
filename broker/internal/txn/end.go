package txn

import (
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
)

// onEnd decides the transaction.
func (t *Transaction) onEnd(in EndTxn) {
	refuse := func(err *kerr.Error) { t.reply(in.Ref, EndReply{err, noProducer}) }
	switch {
	case t.unknown():
		refuse(kerr.InvalidProducerIDMapping)
	case in.Version >= 2:
		t.onEnd2(in, refuse)
	default:
		t.onEnd1(in, refuse)
	}
}

// onEnd1 is for clients that keep their epoch: an end that is repeated cannot be told from
// another one, and is answered by the state alone.
func (t *Transaction) onEnd1(in EndTxn, refuse func(*kerr.Error)) {
	if err := t.check(in.Producer); err != nil {
		refuse(err)
		return
	}
	switch {
	case t.busy():
		refuse(kerr.ConcurrentTransactions)
	case t.now.State == Ongoing:
		t.end(in, false)
	case t.now.State == complete(in.Commit):
		t.reply(in.Ref, EndReply{nil, noProducer})
	default:
		refuse(kerr.InvalidTxnState)
	}
}

// onEnd2 is for clients whose epoch grows with each end (KIP-890). An end that is repeated
// still has the epoch before, and is told from the next one by that.
func (t *Transaction) onEnd2(in EndTxn, refuse func(*kerr.Error)) {
	m, p := &t.now, in.Producer
	overflowed := p.ID == m.PrevProducerID && p.Epoch == lastEpoch && m.Epoch == 0
	repeated := overflowed || int32(m.Epoch) == int32(p.Epoch)+1
	ended := m.State == CompleteCommit || m.State == CompleteAbort
	switch {
	case t.busy():
		// Kafka asks this first: whatever the request is, it may come again.
		refuse(kerr.ConcurrentTransactions)
	case p.ID != m.ProducerID && !overflowed:
		refuse(kerr.InvalidProducerIDMapping)
	case p.Epoch != m.Epoch && !(ended && repeated):
		refuse(kerr.ProducerFenced)
	case m.State == Ongoing:
		t.end(in, false)
	case repeated && m.State == complete(in.Commit):
		t.reply(in.Ref, EndReply{nil, m.Producer()})
	case !repeated && m.State.idle() && !in.Commit:
		// Nothing was added, or it never got here: the epoch grows all the same, so that what
		// may still be under way is not taken for the next transaction's.
		t.end(in, true)
	default:
		refuse(kerr.InvalidTxnState)
	}
}

// end writes the decision of a client. empty: there was no transaction.
func (t *Transaction) end(in EndTxn, empty bool) {
	t.prepare(in, in.Commit, in.Version, empty, func(err *kerr.Error) {
		reply := EndReply{err, noProducer}
		if err == nil && in.Version >= 2 {
			next := t.completed()
			reply.Producer = next.Producer()
		}
		t.reply(in.Ref, reply)
	})
}

// abort is the coordinator's own decision: the epoch grows, which fences off the producer.
func (t *Transaction) abort(cause Input, decided func(err *kerr.Error)) {
	t.prepare(cause, false, 2, false, decided)
}

// prepare writes the decision, and has the markers sent when it is durable. decided is called
// before they are. If it takes a new producer id, nothing is done until cause comes again with one.
func (t *Transaction) prepare(cause Input, commit bool, version int16, empty bool, decided func(err *kerr.Error)) {
	m := t.change(prepare(commit))
	m.NextProducerID = noID
	if version >= 2 {
		if t.now.exhausted() {
			if t.needID(cause) {
				return
			}
			m.NextProducerID = t.fresh
		}
		m.LastEpoch = t.now.Epoch
		if t.now.Epoch != math.MaxInt16 {
			m.Epoch++
		}
	}
	if empty {
		m.Started = t.clock
	}
	m.Updated, m.Version = t.clock, version
	t.persist(&m, func(err *kerr.Error) {
		decided(err)
		if err == nil {
			t.send()
		}
	})
}

// completed is the record for when all markers are there.
func (t *Transaction) completed() Metadata {
	m := t.change(complete(t.now.State == PrepareCommit))
	if t.now.Version >= 2 && t.now.NextProducerID != noID {
		m.ProducerID, m.Epoch = t.now.NextProducerID, 0
	}
	m.NextProducerID, m.Partitions, m.Updated = noID, nil, t.clock
	return m
}

func prepare(commit bool) State {
	if commit {
		return PrepareCommit
	}
	return PrepareAbort
}

func complete(commit bool) State {
	if commit {
		return CompleteCommit
	}
	return CompleteAbort
}
