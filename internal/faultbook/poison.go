package faultbook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
	"millrace/pkg/fault"
)

// poison is no JSON document: it breaks off in the middle, as a message does whose
// producer had a bug.
const poison = `{"event_type":"ORDER_CREATED","order_id":"poison","customer_id":`

// PoisonTopics are the topics that a group of the shop reads.
func PoisonTopics() []string { return []string{events.TopicOrders, events.TopicInventory} }

// PublishPoison publishes a record that no handler can read to a topic of the shop, and
// returns where it is.
func PublishPoison(ctx context.Context, topic string, options ...kgo.Opt) (partition int32, offset int64, err error) {
	if !slices.Contains(PoisonTopics(), topic) {
		text := fmt.Sprintf("no service of the shop reads topic %q; they read: %s", topic, strings.Join(PoisonTopics(), ", "))
		if n := fault.Nearest(topic, PoisonTopics()); n != "" {
			text += "; the nearest is " + n
		}
		return 0, 0, errors.New(text)
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return 0, 0, err
	}
	defer client.Close()
	record := &kgo.Record{Topic: topic, Key: []byte("poison"), Value: []byte(poison)}
	if err := client.ProduceSync(ctx, record).FirstErr(); err != nil {
		return 0, 0, fmt.Errorf("publish to %s: %w", topic, err)
	}
	return record.Partition, record.Offset, nil
}
