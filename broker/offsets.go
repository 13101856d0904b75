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
	"millrace/broker/internal/storage"
)

// offsetsLog is __consumer_offsets for the group coordinator.
type offsetsLog struct {
	cluster  *cluster.Controller
	replicas *replica.Manager
}

// Partitions implements coordinator.Log.
func (l *offsetsLog) Partitions() int32 {
	t := l.cluster.Image().Topic(cluster.OffsetsTopic)
	if t == nil {
		return 0
	}
	return int32(len(t.Partitions))
}

// Create implements coordinator.Log.
func (l *offsetsLog) Create(ctx context.Context) error {
	_, err := l.cluster.EnsureInternalTopic(ctx, cluster.OffsetsTopic)
	return err
}

// Append implements coordinator.Log.
func (l *offsetsLog) Append(ctx context.Context, partition int32, records []coordinator.Record) error {
	p, err := l.replicas.Get(cluster.OffsetsTopic, partition)
	if err != nil {
		return offsetsError(err)
	}
	var builder record.Builder
	now := time.Now().UnixMilli()
	for _, r := range records {
		builder.Add(now, r.Key, r.Value)
	}
	batch, err := builder.Build()
	if err != nil {
		return err
	}
	info, err := p.Append(batch, storage.FromCoordinator)
	if err != nil {
		return offsetsError(err)
	}
	return offsetsError(p.WaitCommitted(ctx, info.Last+1))
}

// offsetsError tells the coordinator of failures as Kafka's log would.
func offsetsError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, replica.ErrUnknown):
		return kerr.UnknownTopicOrPartition
	case errors.Is(err, replica.ErrNotLeader):
		return kerr.NotLeaderForPartition
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

// Read implements coordinator.Log. A partition without a folder has nothing in it,
// and is not given one for reading.
func (l *offsetsLog) Read(ctx context.Context, partition int32, f func(coordinator.Record) error) error {
	if !l.replicas.OnDisk(cluster.OffsetsTopic, partition) {
		return nil
	}
	p, err := l.replicas.Get(cluster.OffsetsTopic, partition)
	if err != nil {
		return err
	}
	return p.Log().Replay(p.StartOffset(), func(b record.Batch) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if b.Control() {
			return nil
		}
		for r, err := range b.Records(record.MaxDecompressed) {
			if err != nil {
				return err
			}
			if err := f(coordinator.Record{Key: r.Key, Value: r.Value}); err != nil {
				return err
			}
		}
		return nil
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
