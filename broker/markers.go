package broker

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/cluster"
	"millrace/broker/internal/coordinator"
	"millrace/broker/internal/record"
	"millrace/broker/internal/replica"
	"millrace/broker/internal/statelog"
	"millrace/broker/internal/txn"
)

// markers writes the markers that end transactions: those of __consumer_offsets through the
// groups' coordinator, which has offsets waiting for them.
type markers struct {
	cluster  *cluster.Controller
	replicas *replica.Manager
	groups   *coordinator.Coordinator
}

// Write writes a producer's marker to partitions and returns when it is durable, or why it is not,
// for each. All are appended before the disk is waited for.
func (m *markers) Write(ctx context.Context, p txn.Producer, marker statelog.Marker, tps []txn.TopicPartition) []*kerr.Error {
	errs := make([]*kerr.Error, len(tps))
	waits := make([]func() *kerr.Error, len(tps))
	producer := statelog.Producer{ID: p.ID, Epoch: p.Epoch}
	for i, tp := range tps {
		if tp.Topic == cluster.OffsetsTopic {
			waits[i] = m.endOffsets(ctx, tp.Partition, producer, marker)
			continue
		}
		waits[i], errs[i] = m.append(ctx, tp, producer, marker)
	}
	for i, wait := range waits {
		if wait != nil {
			errs[i] = wait()
		}
	}
	return errs
}

func (m *markers) append(ctx context.Context, tp txn.TopicPartition, p statelog.Producer, marker statelog.Marker) (wait func() *kerr.Error, err *kerr.Error) {
	partition, openErr := m.replicas.Get(tp.Topic, tp.Partition)
	if openErr != nil {
		return nil, markerError(appendError(openErr))
	}
	through, appendErr := appendBatch(partition, statelog.Batch{Producer: &p, Marker: &marker})
	if appendErr != nil {
		return nil, markerError(appendErr)
	}
	return func() *kerr.Error { return markerError(appendError(partition.WaitCommitted(ctx, through))) }, nil
}

// endOffsets begins to end a transaction in a partition of __consumer_offsets.
func (m *markers) endOffsets(ctx context.Context, partition int32, p statelog.Producer, marker statelog.Marker) func() *kerr.Error {
	ended := make(chan *kerr.Error, 1)
	go func() { ended <- m.groups.EndTxn(ctx, partition, p, marker) }()
	return func() *kerr.Error {
		switch err := <-ended; err {
		case kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator:
			return kerr.NotLeaderForPartition
		default:
			return err
		}
	}
}

// markerError is the Kafka error of a marker that could not be written.
func markerError(err error) *kerr.Error {
	if err == nil {
		return nil
	}
	if k, ok := err.(*kerr.Error); ok { //nolint:errorlint // appendError gives it bare
		return k
	}
	return kerr.UnknownServerError
}

// WriteMarkers implements txncoordinator.Markers. A partition that is gone has no use for a marker.
func (m *markers) WriteMarkers(ctx context.Context, coordinator int32, send txn.SendMarkers) []txn.MarkerResult {
	marker := statelog.Marker{Commit: send.Commit, CoordinatorEpoch: m.epochOf(coordinator), Version: send.Version}
	errs := m.Write(ctx, send.Producer, marker, send.Partitions)
	results := make([]txn.MarkerResult, len(errs))
	for i, err := range errs {
		results[i].TopicPartition = send.Partitions[i]
		switch err {
		case nil, kerr.UnknownTopicOrPartition:
		case kerr.InvalidProducerEpoch, kerr.TransactionCoordinatorFenced:
			results[i].Outcome, results[i].Reason = txn.MarkerRefused, err.Message
		default:
			results[i].Outcome, results[i].Reason = txn.MarkerRetry, err.Message
		}
	}
	return results
}

// epochOf is the leader epoch of a partition of __transaction_state, by which partitions tell a
// coordinator from an earlier one.
func (m *markers) epochOf(partition int32) int32 {
	if t := m.cluster.Image().Topic(cluster.TransactionTopic); t != nil {
		if p := t.Partition(partition); p != nil {
			return p.LeaderEpoch
		}
	}
	return 0
}

// TxnGuard tells a partition of __consumer_offsets that a producer's transaction is about to have
// offsets there, see storage.Log.BeginVerify.
func (m *markers) TxnGuard(partition int32, p txn.Producer, epochBump bool) (uint64, *kerr.Error) {
	offsets, err := m.replicas.Get(cluster.OffsetsTopic, partition)
	if err != nil {
		return 0, markerError(appendError(err))
	}
	guard, err := offsets.Log().BeginVerify(p.ID, p.Epoch, record.NoSequence, epochBump)
	return uint64(guard), markerError(appendError(err))
}
