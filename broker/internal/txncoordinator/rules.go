package txncoordinator

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/statelog"
	"millrace/broker/internal/txn"
)

// rules feed transactions and carry out what they want done.
type rules struct{ c *Coordinator }

// New implements statelog.Rules.
func (r rules) New(string, time.Time) *txn.Transaction { return txn.New(&r.c.cfg.Txn) }

// Step implements statelog.Rules.
func (r rules) Step(e *entry, now time.Time, in txn.Input) { r.carryOut(e, e.Machine.Step(now, in)) }

func (r rules) carryOut(e *entry, effects txn.Effects) {
	for _, effect := range effects {
		switch effect := effect.(type) {
		case txn.Reply:
			e.Reply(uint64(effect.Ref), effect.Body)
		case txn.Persist:
			e.Write(effect.Seq, statelog.Batch{Records: []statelog.Record{encode(e.ID, effect.Record)}})
		case txn.SendMarkers:
			r.c.rt.Spawn(func() {
				e.Deliver(txn.MarkersSent{Results: r.c.markers.WriteMarkers(r.c.rt.Context(), e.Partition(), effect)})
			})
		case txn.NeedProducerID:
			r.c.rt.Spawn(func() { e.Deliver(r.c.fresh(effect.For)) })
		case txn.Event:
			r.c.events.Transaction(e.ID, effect)
		}
	}
}

// fresh draws a producer id for an input.
func (c *Coordinator) fresh(in txn.Input) txn.FreshProducerID {
	id, err := c.ids.NextProducerID(c.rt.Context())
	if err != nil {
		return txn.FreshProducerID{For: in, Err: kerr.CoordinatorNotAvailable}
	}
	return txn.FreshProducerID{For: in, ID: id}
}

// Exists implements statelog.Rules.
func (rules) Exists(t *txn.Transaction) bool { return t.Exists() }

// Deadline implements statelog.Rules.
func (rules) Deadline(t *txn.Transaction) time.Time { return t.Deadline() }

// Tick implements statelog.Rules.
func (rules) Tick() txn.Input { return txn.Tick{} }

// Written implements statelog.Rules.
func (rules) Written(seq uint64, err *kerr.Error) txn.Input { return txn.Persisted{Seq: seq, Err: err} }

// Load implements statelog.Rules.
func (r rules) Load(partition int32) statelog.Loader[*txn.Transaction, txn.Input] {
	return &loading{rules: r, partition: partition, ids: map[string]*txn.Metadata{}}
}

// loading gathers a partition's records: the last one of each id counts.
type loading struct {
	rules            rules
	partition        int32
	ids              map[string]*txn.Metadata
	records, unknown int
	found, decided   int
}

// Add implements statelog.Loader.
func (l *loading) Add(b statelog.Batch) error {
	for _, r := range b.Records {
		l.records++
		id, m, known, err := decode(r)
		switch {
		case err != nil:
			return err
		case !known:
			l.unknown++
		case m == nil:
			delete(l.ids, id)
		default:
			l.ids[id] = m
		}
	}
	return nil
}

// Restore implements statelog.Loader.
func (l *loading) Restore(enter func(id string, t *txn.Transaction, begin func(e *entry))) {
	for id, m := range l.ids {
		l.found++
		if m.State == txn.PrepareCommit || m.State == txn.PrepareAbort {
			l.decided++
		}
		t, effects := txn.Restore(&l.rules.c.cfg.Txn, time.Now(), *m)
		enter(id, t, func(e *entry) { l.rules.carryOut(e, effects) })
	}
}

// Done implements statelog.Loader.
func (l *loading) Done(took time.Duration, err error) {
	l.rules.c.events.Loaded(Load{
		Partition: l.partition, Records: l.records, Unknown: l.unknown, IDs: l.found, Decided: l.decided, Took: took, Err: err,
	})
}
