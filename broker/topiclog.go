package broker

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/cluster"
	"millrace/broker/internal/coordinator"
	"millrace/broker/internal/record"
	"millrace/broker/internal/replica"
	"millrace/broker/internal/statelog"
	"millrace/broker/internal/storage"
)

// topicLog is one of the broker's own topics, for the coordinator that keeps its state there.
type topicLog struct {
	cluster  *cluster.Controller
	replicas *replica.Manager
	topic    string
}

// Topic implements statelog.Log.
func (l *topicLog) Topic() (id [16]byte, partitions int32) {
	t := l.cluster.Image().Topic(l.topic)
	if t == nil {
		return id, 0
	}
	return t.ID, int32(len(t.Partitions))
}

// Create implements statelog.Log.
func (l *topicLog) Create(ctx context.Context) error {
	_, err := l.cluster.EnsureInternalTopic(ctx, l.topic)
	return err
}

// Append implements statelog.Log. All batches are appended, then the disk is waited for once.
func (l *topicLog) Append(ctx context.Context, partition int32, batches []statelog.Batch) []error {
	errs := make([]error, len(batches))
	p, err := l.replicas.Get(l.topic, partition)
	if err != nil {
		for i := range errs {
			errs[i] = appendError(err)
		}
		return errs
	}
	through := make([]record.Offset, len(batches))
	for i, b := range batches {
		through[i], errs[i] = appendBatch(p, b)
	}
	for i := len(batches) - 1; i >= 0; i-- {
		if errs[i] == nil {
			errs[i] = appendError(p.WaitCommitted(ctx, through[i]))
		}
	}
	return errs
}

func appendBatch(p *replica.Partition, b statelog.Batch) (through record.Offset, err error) {
	now := time.Now().UnixMilli()
	o := storage.AppendOptions{Origin: storage.FromCoordinator}
	var batch record.Batch
	if b.Marker != nil {
		o.TxnVersion = b.Marker.Version
		batch = record.EndTxn(b.Producer.ID, b.Producer.Epoch, now, record.Marker{Commit: b.Marker.Commit, CoordinatorEpoch: b.Marker.CoordinatorEpoch})
	} else {
		var builder record.Builder
		if b.Producer != nil {
			builder.Idempotent, builder.Transactional = true, true
			builder.ProducerID, builder.ProducerEpoch = b.Producer.ID, b.Producer.Epoch
			o.Guard = storage.Guard(b.Producer.Guard)
		}
		for _, r := range b.Records {
			builder.Add(now, r.Key, r.Value)
		}
		if batch, err = builder.Build(); err != nil {
			return 0, err
		}
	}
	info, err := p.Append(batch, o)
	if err != nil {
		return 0, appendError(err)
	}
	return info.Last + 1, nil
}

// appendError tells a coordinator of failures as Kafka's log would.
func appendError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, replica.ErrUnknown):
		return kerr.UnknownTopicOrPartition
	case errors.Is(err, replica.ErrNotLeader):
		return kerr.NotLeaderForPartition
	case errors.Is(err, storage.ErrProducerFenced):
		return kerr.InvalidProducerEpoch
	case errors.Is(err, storage.ErrTxnState):
		return kerr.InvalidTxnState
	case errors.Is(err, storage.ErrCoordinatorFenced):
		return kerr.TransactionCoordinatorFenced
	case errors.Is(err, record.ErrTooLarge):
		return kerr.MessageTooLarge
	case errors.Is(err, storage.ErrListTooLarge):
		return kerr.RecordListTooLarge
	case errors.Is(err, replica.ErrStorage), errors.Is(err, storage.ErrOffline), errors.Is(err, storage.ErrClosed), errors.Is(err, storage.ErrCorrupted):
		return kerr.KafkaStorageError
	default:
		return err
	}
}

// Read implements statelog.Log. A partition without a folder has nothing in it,
// and is not given one for reading.
func (l *topicLog) Read(ctx context.Context, partition int32, f func(statelog.Batch) error) error {
	if !l.replicas.OnDisk(l.topic, partition) {
		return nil
	}
	p, err := l.replicas.Get(l.topic, partition)
	if err != nil {
		return err
	}
	var records []statelog.Record
	return p.Log().Replay(p.StartOffset(), func(b record.Batch) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		var out statelog.Batch
		if b.Transactional() {
			out.Producer = &statelog.Producer{ID: b.ProducerID(), Epoch: b.ProducerEpoch()}
		}
		if b.Control() {
			m, ok, err := b.Marker()
			if err != nil || !ok {
				return err
			}
			out.Marker = &statelog.Marker{Commit: m.Commit, CoordinatorEpoch: m.CoordinatorEpoch}
			return f(out)
		}
		records = records[:0]
		for r, err := range b.Records(record.MaxDecompressed) {
			if err != nil {
				return err
			}
			records = append(records, statelog.Record{Key: r.Key, Value: r.Value})
		}
		out.Records = records
		return f(out)
	})
}

// forgetOffsets lets deleted topics take their committed offsets along.
func forgetOffsets(groups *coordinator.Coordinator) func(old, now *cluster.Image) {
	return func(old, now *cluster.Image) {
		if old == nil {
			return
		}
		var gone []string
		for t := range old.Topics() {
			if now.TopicByID(t.ID) == nil {
				gone = append(gone, t.Name)
			}
		}
		if len(gone) > 0 {
			groups.TopicsDeleted(gone...)
		}
	}
}
