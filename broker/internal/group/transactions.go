package group

import (
	"github.com/twmb/franz-go/pkg/kerr"
)

// Offsets that are committed in a producer's transaction lie apart until the transaction's
// marker comes: then they are all committed, or all forgotten (KIP-98). Readers who want
// stable offsets have to wait for it (KIP-447).

// Producer is a transactional producer, as the records of its offsets carry it.
type Producer struct {
	ID    int64
	Epoch int16
	Guard uint64 // from the one who has asked the transaction's coordinator
}

// EndTxn tells that a marker is durable, after all records of the producer that the group
// has asked for before. Nobody is answered.
type EndTxn struct {
	ProducerID int64
	Commit     bool
}

func (EndTxn) input() {}

// PendingOffsets are those of open transactions, by producer.
type PendingOffsets map[int64]map[TopicPartition]Offset

// Add keeps an offset until the producer's transaction ends.
func (p PendingOffsets) Add(producer int64, tp TopicPartition, o Offset) {
	if p[producer] == nil {
		p[producer] = map[TopicPartition]Offset{}
	}
	p[producer][tp] = o
}

// End ends a producer's transaction. Committed offsets go to offsets, but for those after
// which another one was committed already. It returns how many were committed.
func (p PendingOffsets) End(producer int64, commit bool, offsets map[TopicPartition]Offset) (committed int) {
	if commit {
		for tp, o := range p[producer] {
			if now, ok := offsets[tp]; !ok || o.Order > now.Order {
				offsets[tp] = o
				committed++
			}
		}
	}
	delete(p, producer)
	return committed
}

// Forget drops what is kept for a partition: its offset was deleted.
func (p PendingOffsets) Forget(tp TopicPartition) {
	for producer, offsets := range p {
		delete(offsets, tp)
		if len(offsets) == 0 {
			delete(p, producer)
		}
	}
}

// Has tells whether a transaction has an offset for a partition.
func (p PendingOffsets) Has(tp TopicPartition) bool {
	for _, offsets := range p {
		if _, ok := offsets[tp]; ok {
			return true
		}
	}
	return false
}

// RestorePending completes Restore with the offsets of open transactions. order is that of the
// last offset read, whosever it is.
func (g *Group) RestorePending(pending PendingOffsets, order uint64) {
	if pending != nil {
		g.uncommitted = pending
	}
	g.order = order
}

func (g *Group) onEndTxn(in EndTxn) {
	if g.uncommitted[in.ProducerID] == nil {
		return
	}
	if n := g.uncommitted.End(in.ProducerID, in.Commit, g.offsets); n > 0 {
		g.event(Event{Kind: OffsetsCommitted, Count: n})
	}
}

// checkTxnCommit is checkClassicCommit for a transaction. Older producers do not say which
// member has read what they commit; those that do are held to it. A rebalance does not
// keep them back: the transaction's own fencing does what is needed (KIP-447).
func (g *Group) checkTxnCommit(in Commit) *kerr.Error {
	anonymous := in.Generation < 0 && in.MemberID == "" && in.InstanceID == ""
	switch {
	case in.Generation < 0 && (!g.known || g.state == Empty), anonymous && g.known:
		return nil
	case !g.known:
		return kerr.IllegalGeneration
	}
	if err := g.check(in.MemberID, in.InstanceID); err != nil {
		return err
	}
	if in.Generation != g.generation {
		return kerr.IllegalGeneration
	}
	return nil
}

// txnError is what producers are told where consumers hear of a stale epoch.
func txnError(err *kerr.Error) *kerr.Error {
	if err == kerr.StaleMemberEpoch {
		return kerr.IllegalGeneration
	}
	return err
}
