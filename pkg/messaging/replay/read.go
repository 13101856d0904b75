package replay

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"

	"millrace/pkg/events"
)

// Record is a record that can be read as an event.
type Record struct {
	// ID is what the group's inbox knows the message by.
	ID string
	// Key is the record key; nil: none.
	Key       []byte
	Headers   map[string]string
	Timestamp time.Time
	Event     events.Event
	// Handled tells that the group had dealt with it: its effect was there. It is not set
	// for a record that is unfinished.
	Handled bool
	// Unfinished tells that the group had given it up or put it off.
	Unfinished bool

	partition *partition // where it was read
	offset    int64
}

// span is a part of a partition's log that is read: from, up to before to.
type span struct {
	topic    string
	p        *partition
	from, to int64
}

const (
	// A batch is handed on when it has so many records, or bytes.
	batchRecords = 1000
	batchBytes   = 4 << 20
	// silence is how long no record may come before reading gives up.
	silence = 30 * time.Second
	// tellEvery is the pause between two reports of progress.
	tellEvery = 200 * time.Millisecond
)

// read reads spans, all at the same time, and hands their records on in batches, those
// of a partition in their order.
func (r *Replay) read(ctx context.Context, spans []span, handle func(context.Context, []*sarama.ConsumerMessage) error) (err error) {
	total := int64(0)
	open := map[string]map[int32]span{}
	for _, s := range spans {
		if s.from >= s.to {
			continue
		}
		total += s.to - s.from
		if open[s.topic] == nil {
			open[s.topic] = map[int32]span{}
		}
		open[s.topic][s.p.Partition] = s
	}
	if total == 0 {
		return nil
	}
	consumer, err := sarama.NewConsumerFromClient(r.client)
	if err != nil {
		return err
	}
	messages := make(chan *sarama.ConsumerMessage)
	failed := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	var closers []sarama.PartitionConsumer
	done := make(chan struct{})
	running := 0
	defer func() {
		cancel()
		for _, pc := range closers {
			pc.AsyncClose()
		}
		for range running {
			<-done
		}
		err = errors.Join(err, consumer.Close())
	}()
	for topic, partitions := range open {
		for number, s := range partitions {
			pc, err := consumer.ConsumePartition(topic, number, s.from)
			if err != nil {
				return fmt.Errorf("read %s/%d at offset %d: %w", topic, number, s.from, err)
			}
			closers = append(closers, pc)
			running++
			go func() {
				forward(ctx, pc, s.to, messages, failed)
				done <- struct{}{}
			}()
		}
	}
	return r.collect(ctx, open, total, messages, failed, handle)
}

// forward passes a partition's records on up to its end, and then closes it. It drains
// what comes after that, without which closing would block.
func forward(ctx context.Context, pc sarama.PartitionConsumer, to int64, messages chan<- *sarama.ConsumerMessage, failed chan<- error) {
	inward, errs := pc.Messages(), pc.Errors()
	for inward != nil || errs != nil {
		select {
		case m, ok := <-inward:
			if !ok {
				inward = nil
				continue
			}
			if m.Offset < to {
				select {
				case messages <- m:
				case <-ctx.Done():
				}
			}
			if m.Offset >= to-1 {
				pc.AsyncClose() // may be called again
			}
		case e, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			select {
			case failed <- e:
			default: // the first is enough
			}
		}
	}
}

// collect makes batches until every span has come to its end.
func (r *Replay) collect(ctx context.Context, open map[string]map[int32]span, total int64, messages <-chan *sarama.ConsumerMessage, failed <-chan error,
	handle func(context.Context, []*sarama.ConsumerMessage) error,
) error {
	var (
		batch []*sarama.ConsumerMessage
		size  int
		read  int64
		told  time.Time
		topic string
	)
	for topic = range open {
		break
	}
	tell := func(now time.Time) {
		if r.config.Progress != nil {
			told = now
			r.config.Progress(Progress{Topic: topic, Read: read, Total: total, Elapsed: now.Sub(r.began)})
		}
	}
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		err := handle(ctx, batch)
		batch, size = batch[:0], 0
		return err
	}
	patience := time.NewTimer(silence)
	defer patience.Stop()
	for len(open) > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return fmt.Errorf("read the log: %w", err)
		case <-patience.C:
			for topic, partitions := range open {
				for number, s := range partitions {
					return fmt.Errorf("read %s/%d: it should have records up to offset %d, but none has come for %s", topic, number, s.to-1, silence)
				}
			}
		case m := <-messages:
			s := open[m.Topic][m.Partition]
			read++
			batch, size = append(batch, m), size+len(m.Value)+len(m.Key)
			if m.Offset >= s.to-1 {
				delete(open[m.Topic], m.Partition)
				if len(open[m.Topic]) == 0 {
					delete(open, m.Topic)
				}
			}
			if len(batch) >= batchRecords || size >= batchBytes {
				if err := flush(); err != nil {
					return err
				}
			}
			if now := time.Now(); now.Sub(told) >= tellEvery {
				tell(now)
			}
			patience.Reset(silence) // also after the database has taken its time
		}
	}
	if err := flush(); err != nil {
		return err
	}
	tell(time.Now())
	return nil
}

func headersOf(m *sarama.ConsumerMessage) map[string]string {
	headers := make(map[string]string, len(m.Headers))
	for _, h := range m.Headers {
		headers[string(h.Key)] = string(h.Value)
	}
	return headers
}

// idOf is the message id as the inbox of a reader has it.
func idOf(headers map[string]string, topic string, partition int32, offset int64) string {
	if id := headers[events.HeaderMessageID]; id != "" {
		return id
	}
	return topic + "/" + strconv.Itoa(int(partition)) + "/" + strconv.FormatInt(offset, 10)
}
