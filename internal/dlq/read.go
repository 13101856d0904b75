package dlq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// extent is a run of offsets of one partition: from is within, to is not.
type extent struct {
	topic     string
	partition int32
	from, to  int64
}

// Bounds of a read: what is in memory at one time.
const (
	fetchBytes          = 8 << 20
	fetchPartitionBytes = 1 << 20
	// maxBatch bounds a batch after decompression.
	maxBatch = 64 << 20
)

// errEnough is returned by a visitor that wants no more.
var errEnough = errors.New("enough")

// extents lists what topics hold, as far as readers of committed records may read.
func (c *Client) extents(ctx context.Context, topics ...string) ([]extent, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	starts, err := c.admin.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("first offsets of %v: %w", topics, err)
	}
	ends, err := c.admin.ListCommittedOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("last offsets of %v: %w", topics, err)
	}
	var found []extent
	for _, topic := range topics {
		for _, partition := range slices.Sorted(maps.Keys(ends[topic])) {
			start, _ := starts.Lookup(topic, partition)
			found = append(found, extent{topic, partition, start.Offset, ends[topic][partition].Offset})
		}
	}
	return found, nil
}

// read hands each record of the extents to visit: those of a partition in their order.
// Offsets that hold no record any more are passed over. A visitor that returns errEnough
// ends the read, any other error breaks it off.
func (c *Client) read(ctx context.Context, extents []extent, visit func(*kgo.Record) error) error {
	open := map[string]map[int32]extent{}
	from := map[string]map[int32]kgo.Offset{}
	left := 0
	for _, e := range extents {
		if e.from >= e.to {
			continue
		}
		if open[e.topic] == nil {
			open[e.topic], from[e.topic] = map[int32]extent{}, map[int32]kgo.Offset{}
		}
		open[e.topic][e.partition], from[e.topic][e.partition] = e, kgo.NewOffset().At(e.from)
		left++
	}
	if left == 0 {
		return nil
	}
	reader, err := kgo.NewClient(append(slices.Clone(c.options),
		kgo.ConsumePartitions(from), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// The marker that ends a transaction is a record too, and may be the last one.
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(fetchBytes), kgo.FetchMaxPartitionBytes(fetchPartitionBytes),
		kgo.MaxConcurrentFetches(1), kgo.MaxDecompressBatchBytes(maxBatch), kgo.KeepRetryableFetchErrors(),
	)...)
	if err != nil {
		return err
	}
	defer reader.Close()
	var trouble error // the last one that may pass
	var tooLarge *kgo.ErrDecompressTooLarge
	last := time.Now()
	for left > 0 {
		pollCtx, cancel := context.WithTimeout(ctx, time.Second)
		fetches := reader.PollFetches(pollCtx)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, e := range fetches.Errors() {
			switch {
			case errors.Is(e.Err, context.DeadlineExceeded):
			case errors.As(e.Err, &tooLarge):
				return fmt.Errorf("read %s partition %d: %w", e.Topic, e.Partition, e.Err)
			default:
				trouble = fmt.Errorf("%s partition %d: %w", e.Topic, e.Partition, e.Err)
			}
		}
		some := false
		for records := fetches.RecordIter(); !records.Done(); {
			r := records.Next()
			some = true
			e, wanted := open[r.Topic][r.Partition]
			if !wanted {
				continue
			}
			if r.Offset >= e.to-1 {
				delete(open[r.Topic], r.Partition)
				left--
				reader.PauseFetchPartitions(map[string][]int32{r.Topic: {r.Partition}})
			}
			if r.Offset >= e.to || r.Offset < e.from || r.Attrs.IsControl() {
				continue
			}
			if err := visit(r); errors.Is(err, errEnough) {
				return nil
			} else if err != nil {
				return err
			}
		}
		if some { // the visitor may have taken its time: that is not the broker's
			last = time.Now()
		} else if time.Since(last) > c.config.Patience {
			return c.stalled(open, trouble)
		}
	}
	return nil
}

// stalled says what does not come.
func (c *Client) stalled(open map[string]map[int32]extent, trouble error) error {
	for topic, partitions := range open {
		for partition, e := range partitions {
			err := fmt.Errorf("read %s partition %d: nothing came within %s, though it has offsets up to %d", topic, partition, c.config.Patience, e.to-1)
			if trouble != nil {
				err = fmt.Errorf("%w; last trouble: %w", err, trouble)
			}
			return err
		}
	}
	return trouble
}

// record reads the one record at an offset; nil: there is none any more.
func (c *Client) record(ctx context.Context, topic string, partition int32, offset int64) (*kgo.Record, error) {
	extents, err := c.extents(ctx, topic)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(extents, func(e extent) bool { return e.partition == partition })
	if i < 0 || offset < extents[i].from || offset >= extents[i].to {
		return nil, nil
	}
	var found *kgo.Record
	err = c.read(ctx, []extent{{topic, partition, offset, offset + 1}}, func(r *kgo.Record) error {
		found = r
		return errEnough
	})
	return found, err
}

// endOffsets asks for the end of partitions, whatever lies before it.
func (c *Client) endOffsets(ctx context.Context, topic string) (kadm.ListedOffsets, error) {
	ends, err := c.admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("end of topic %s: %w", topic, err)
	}
	return ends, nil
}
