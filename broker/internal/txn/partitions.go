package txn

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
)

// onAdd makes partitions part of the transaction, which begins with the first.
func (t *Transaction) onAdd(in AddPartitions) {
	answer := func(err *kerr.Error) { t.reply(in.Ref, AddReply{err}) }
	switch {
	case t.unknown():
		answer(kerr.InvalidProducerIDMapping)
		return
	case t.busy():
		answer(kerr.ConcurrentTransactions)
		return
	}
	if err := t.check(in.Producer); err != nil {
		answer(err)
		return
	}
	m := t.change(Ongoing)
	m.Partitions = normal(append(slices.Clone(t.now.Partitions), in.Partitions...))
	begins := t.now.State != Ongoing
	if !begins && len(m.Partitions) == len(t.now.Partitions) {
		answer(nil)
		return
	}
	if begins {
		m.Started = t.clock
	}
	m.Updated, m.Version = t.clock, in.Version
	t.persist(&m, func(err *kerr.Error) {
		if err == nil && begins {
			t.event(Event{Kind: Begun})
		}
		answer(err)
	})
}

// onVerify tells which partitions are in the transaction (KIP-890). What is on its way to the
// disk does not count: the log looks once more when it appends.
func (t *Transaction) onVerify(in Verify) VerifyReply {
	if t.unknown() {
		return VerifyReply{Err: kerr.InvalidProducerIDMapping}
	}
	if err := t.check(in.Producer); err != nil {
		return VerifyReply{Err: err}
	}
	if t.now.State.prepared() {
		return VerifyReply{Err: kerr.ConcurrentTransactions}
	}
	r := VerifyReply{Partitions: make([]*kerr.Error, len(in.Partitions))}
	for i, tp := range in.Partitions {
		if _, ok := slices.BinarySearchFunc(t.now.Partitions, tp, Compare); !ok {
			r.Partitions[i] = kerr.TransactionAbortable
		}
	}
	return r
}

// unknown tells that nobody has initialised the id.
func (t *Transaction) unknown() bool { return t.now.ProducerID == noID }

// check tells whether a request comes from the producer that has the id.
func (t *Transaction) check(p Producer) *kerr.Error {
	switch {
	case p.ID != t.now.ProducerID:
		return kerr.InvalidProducerIDMapping
	case p.Epoch != t.now.Epoch:
		return kerr.ProducerFenced
	}
	return nil
}
