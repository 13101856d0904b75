package txncoordinator

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/statelog"
	"millrace/broker/internal/txn"
)

var noProducer = txn.Producer{ID: -1, Epoch: -1}

// call feeds one input to an id and waits for the answer.
func call[T any](ctx context.Context, c *Coordinator, id string, prepare func(txn.Ref) txn.Input) (answer T, err *kerr.Error) {
	switch {
	case id == "":
		return answer, kerr.InvalidRequest
	case c.rt.Partition(id) < 0: // nobody has ever asked for its coordinator
		return answer, kerr.NotCoordinator
	}
	return statelog.Call[T](ctx, c.rt, id, func(ref uint64) txn.Input { return prepare(txn.Ref(ref)) })
}

// InitProducer handles an InitProducerId request with a transactional id.
func (c *Coordinator) InitProducer(ctx context.Context, id string, in txn.InitProducer) txn.InitReply {
	if err := c.Ensure(ctx); err != nil {
		return txn.InitReply{Err: err, Producer: noProducer}
	}
	r, err := call[txn.InitReply](ctx, c, id, func(ref txn.Ref) txn.Input { in.Ref = ref; return in })
	if err != nil {
		return txn.InitReply{Err: err, Producer: noProducer}
	}
	return r
}

// AddPartitions makes partitions part of a transaction and returns when that is durable.
func (c *Coordinator) AddPartitions(ctx context.Context, id string, in txn.AddPartitions) *kerr.Error {
	r, err := call[txn.AddReply](ctx, c, id, func(ref txn.Ref) txn.Input { in.Ref = ref; return in })
	if err != nil {
		return err
	}
	return r.Err
}

// Verify tells whether partitions are part of a transaction.
func (c *Coordinator) Verify(ctx context.Context, id string, in txn.Verify) txn.VerifyReply {
	r, err := call[txn.VerifyReply](ctx, c, id, func(ref txn.Ref) txn.Input { in.Ref = ref; return in })
	if err != nil {
		return txn.VerifyReply{Err: err}
	}
	return r
}

// EndTxn handles an EndTxn request and returns when the decision is durable.
func (c *Coordinator) EndTxn(ctx context.Context, id string, in txn.EndTxn) txn.EndReply {
	r, err := call[txn.EndReply](ctx, c, id, func(ref txn.Ref) txn.Input { in.Ref = ref; return in })
	if err != nil {
		return txn.EndReply{Err: err, Producer: noProducer}
	}
	return r
}

// Describe tells how an id stands.
func (c *Coordinator) Describe(id string) (m txn.Metadata, err *kerr.Error) {
	if id == "" {
		return m, kerr.InvalidRequest
	}
	found, err := c.rt.View(id, func(t *txn.Transaction) { m = copied(t.Describe()) })
	switch {
	case err != nil:
		return m, err
	case !found && c.rt.Partition(id) < 0:
		return m, kerr.NotCoordinator
	case !found:
		return m, kerr.TransactionalIDNotFound
	}
	return m, nil
}

// copied lets a description outlive the lock.
func copied(m txn.Metadata) txn.Metadata {
	m.Partitions = append([]txn.TopicPartition(nil), m.Partitions...)
	return m
}

// Listed is a transactional id in a list.
type Listed struct {
	ID         string
	ProducerID int64
	State      txn.State
	Started    time.Time // zero: no transaction yet
}

// List returns all ids, or why that cannot be said.
func (c *Coordinator) List() (ids []Listed, err *kerr.Error) {
	err = c.rt.Each(func(e *entry) {
		m := e.Machine.Describe()
		ids = append(ids, Listed{e.ID, m.ProducerID, m.State, m.Started})
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

// Stats counts the ids by state, for gauges.
func (c *Coordinator) Stats() map[txn.State]int {
	st := map[txn.State]int{}
	_ = c.rt.Each(func(e *entry) { st[e.Machine.Describe().State]++ })
	return st
}
