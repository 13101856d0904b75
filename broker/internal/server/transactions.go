package server

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/replica"
	"millrace/broker/internal/statelog"
	"millrace/broker/internal/txn"
)

// What the handlers of the transaction requests (0, 22 to 28, 61, 65, 66) have in common.

// Markers writes the markers that end transactions.
type Markers interface {
	// Write writes a producer's marker to partitions and returns when it is durable, or why it
	// is not, for each.
	Write(ctx context.Context, p txn.Producer, m statelog.Marker, tps []txn.TopicPartition) []*kerr.Error
	// TxnGuard is what a partition of __consumer_offsets wants with a transaction's first
	// offsets, taken before the coordinator is asked; 0: its transaction is open.
	TxnGuard(partition int32, p txn.Producer, epochBump bool) (uint64, *kerr.Error)
}

// transactionsV2 is the version of transactions with an epoch for each (KIP-890).
const transactionsV2 = 2

// fencedAs is what clients are told that do not know PRODUCER_FENCED yet (KIP-588).
func fencedAs(err *kerr.Error, knows bool) *kerr.Error {
	if err == kerr.ProducerFenced && !knows {
		return kerr.InvalidProducerEpoch
	}
	return err
}

// joinTxn makes partitions part of a transaction, or for clients before version 2 asks whether
// they are. The answer is an error, or nil, for each. A transaction of version 2 may come before the
// last one is complete: then it is waited for a little, so that the client need not come again.
func (s *Server) joinTxn(ctx context.Context, id string, p txn.Producer, tps []txn.TopicPartition, v2 bool) []*kerr.Error {
	errs := make([]*kerr.Error, len(tps))
	if !v2 {
		r := s.txns.Verify(ctx, id, txn.Verify{Producer: p, Partitions: tps})
		for i := range errs {
			if errs[i] = r.Err; r.Err == nil {
				errs[i] = r.Partitions[i]
			}
		}
		return errs
	}
	cfg := s.cluster.Image().Config
	until := time.Now().Add(time.Duration(cfg.AddPartitionsRetryMaxMs) * time.Millisecond)
	err := s.txns.AddPartitions(ctx, id, txn.AddPartitions{Producer: p, Partitions: tps, Version: transactionsV2})
	for err == kerr.ConcurrentTransactions && time.Now().Before(until) && ctx.Err() == nil {
		wait := time.NewTimer(time.Duration(cfg.AddPartitionsRetryMs) * time.Millisecond)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
		}
		err = s.txns.AddPartitions(ctx, id, txn.AddPartitions{Producer: p, Partitions: tps, Version: transactionsV2})
	}
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// joinError is what a client whose records or offsets are refused is told, by what its request's version
// knows (Kafka's AddPartitionsToTxnManager).
func joinError(err *kerr.Error, knowsAbortable bool) *kerr.Error {
	switch {
	case err == kerr.ProducerFenced:
		return kerr.InvalidProducerEpoch
	case err == kerr.TransactionAbortable && !knowsAbortable:
		return kerr.InvalidTxnState
	}
	return err
}

// final tells whether it is no use to ask the coordinator again.
func final(err *kerr.Error) bool {
	switch err {
	case kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator, kerr.ConcurrentTransactions:
		return false
	}
	return true
}

// admitTransaction asks the coordinator about those partitions of a Produce request whose
// transaction has nothing there yet. The guards and errors are put into the targets.
func (s *Server) admitTransaction(r *Request, id string, targets []produceTarget) {
	v2 := r.Version >= 12
	if !v2 && !s.cluster.Image().Config.TransactionVerification {
		s.trustTransaction(targets)
		return
	}
	var asked []*produceTarget
	var tps []txn.TopicPartition
	var p txn.Producer
	for i := range targets {
		t := &targets[i]
		if t.err != nil || !t.transactional {
			continue
		}
		t.guard, t.err = t.partition.Log().BeginVerify(t.producer.ID, t.producer.Epoch, t.sequence, v2)
		if t.err != nil || t.guard == 0 {
			continue
		}
		p = t.producer
		asked, tps = append(asked, t), append(tps, nameOf(t.partition))
	}
	if len(asked) == 0 {
		return
	}
	for i, err := range s.joinTxn(r.Context(), id, p, tps, v2) {
		if err == nil {
			continue
		}
		t := asked[i]
		if final(err) {
			t.partition.Log().DropVerify(p.ID, t.guard)
		}
		t.err = refuseTxn(err, v2, r.Version >= 11)
	}
}

// trustTransaction takes the word of older clients for it (transaction.partition.verification.enable).
func (s *Server) trustTransaction(targets []produceTarget) {
	for i := range targets {
		if t := &targets[i]; t.err == nil && t.transactional {
			t.guard, t.err = t.partition.Log().BeginVerify(t.producer.ID, t.producer.Epoch, t.sequence, false)
		}
	}
}

func nameOf(p *replica.Partition) txn.TopicPartition {
	return txn.TopicPartition{Topic: p.Name.Topic, Partition: p.Name.Index}
}

// refuseTxn turns the coordinator's error into one that producers expect of Produce: what they are to retry
// is NOT_ENOUGH_REPLICAS, which does not make them look for another leader.
func refuseTxn(err *kerr.Error, v2, knowsAbortable bool) error {
	err = joinError(err, knowsAbortable)
	switch {
	case err == kerr.InvalidTxnState:
		return refuse(err, "Partition was not added to the transaction")
	case !final(err) && (err != kerr.ConcurrentTransactions || !v2):
		return refuse(kerr.NotEnoughReplicas, "Unable to verify the partition has been added to the transaction. Underlying error: %s", err.Message)
	}
	return refuse(err, "%s", err.Description)
}

// topicPartitions turns what a request names into partitions, each checked to exist. It reports false, with an
// error for each, when one does not: then nothing is to be attempted.
func (s *Server) topicPartitions(r *Request, image *cluster.Image, tps []txn.TopicPartition) (errs []*kerr.Error, ok bool) {
	errs, ok = make([]*kerr.Error, len(tps)), true
	for i, tp := range tps {
		if r.Version < 4 && s.onTopic(r, acl.Write, tp.Topic) != nil { // a broker has asked its client
			errs[i], ok = kerr.TopicAuthorizationFailed, false
		} else if t := image.Topic(tp.Topic); t == nil || t.Partition(tp.Partition) == nil {
			errs[i], ok = kerr.UnknownTopicOrPartition, false
		}
	}
	if ok {
		return errs, true
	}
	for i := range errs {
		if errs[i] == nil {
			errs[i] = kerr.OperationNotAttempted
		}
	}
	return errs, false
}

// code is the code of an error that may be nil.
func code(err *kerr.Error) int16 { return groupCode(err) }
