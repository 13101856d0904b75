package orderrun

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
)

// Kafka is how to reach the broker, for a client that shares no code with the
// services.
type Kafka struct {
	Brokers []string
	Options []kgo.Opt // TLS, SASL
}

// copies are the messages that a topic holds about one event of one order:
// message id → how many records.
type copies map[string]int

// eventKey is an event of an order.
type eventKey struct {
	order string
	kind  events.Type
}

// readTopic reads a topic from its first record to what was its last when it
// began, and returns the events of the given orders.
func readTopic(ctx context.Context, k Kafka, topic string, orders map[string]bool) (map[eventKey]copies, error) {
	const patience = time.Minute // without any record
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(k.Brokers...), kgo.ClientID("millrace-up"),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}, k.Options...)...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("end of topic %s: %w", topic, err)
	}
	open := map[int32]int64{} // partition → the offset where we are done with it
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			open[o.Partition] = o.Offset
		}
	})
	starts, err := kadm.NewClient(client).ListStartOffsets(ctx, topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("begin of topic %s: %w", topic, err)
	}
	starts.Each(func(o kadm.ListedOffset) {
		if open[o.Partition] == o.Offset {
			delete(open, o.Partition) // empty
		}
	})
	found := map[eventKey]copies{}
	for len(open) > 0 {
		fetchCtx, cancel := context.WithTimeout(ctx, patience)
		fetches := client.PollFetches(fetchCtx)
		cancel()
		if err := fetches.Err0(); err != nil {
			return nil, fmt.Errorf("read topic %s: %w", topic, err)
		}
		fetches.EachError(func(_ string, _ int32, e error) { err = e })
		if err != nil {
			return nil, fmt.Errorf("read topic %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, ok := open[r.Partition]; ok && r.Offset >= end-1 {
				delete(open, r.Partition)
			}
			if orders[string(r.Key)] {
				note(found, r)
			}
		})
	}
	return found, nil
}

func note(found map[eventKey]copies, r *kgo.Record) {
	key := eventKey{order: string(r.Key), kind: "unreadable"}
	if e, err := events.Decode(r.Value); err == nil {
		key.kind = e.Type()
	}
	id := fmt.Sprintf("%s/%d/%d", r.Topic, r.Partition, r.Offset)
	for _, h := range r.Headers {
		if h.Key == events.HeaderMessageID {
			id = string(h.Value)
		}
	}
	if found[key] == nil {
		found[key] = copies{}
	}
	found[key][id]++
}
