package faultbook

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/shop"
	"millrace/pkg/events"
)

// groups are the consumer groups of the services.
var groups = map[string]string{
	shop.Order: events.GroupOrder, shop.Inventory: events.GroupInventory, shop.Notification: events.GroupNotification,
}

// memberStay is how long a throwaway member stays in the group once it has partitions.
const memberStay = 300 * time.Millisecond

// RebalanceStorm joins the group of a service with one more member and leaves it again,
// until ctx ends; told is called after each round. The member gets partitions, which the
// service's instances have to hand over, and acknowledges nothing: whatever it is given
// comes to them again. It returns nil when ctx has ended.
func RebalanceStorm(ctx context.Context, service string, told func(round int), options ...kgo.Opt) error {
	group, known := groups[service]
	if !known {
		return fmt.Errorf("%s is no service with a consumer group", service)
	}
	var topics []string
	for _, s := range events.Subscriptions() {
		if s.Group == group {
			topics = append(topics, s.Topic)
		}
	}
	for round := 1; ctx.Err() == nil; round++ {
		if err := joinAndLeave(ctx, group, topics, options); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the storm is over
			}
			return fmt.Errorf("round %d of the storm in group %s: %w", round, group, err)
		}
		told(round)
	}
	return nil
}

func joinAndLeave(ctx context.Context, group string, topics []string, options []kgo.Opt) error {
	assigned := make(chan struct{}, 1)
	client, err := kgo.NewClient(append(slices.Clone(options),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics...), kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.RangeBalancer()), // the services' own
		kgo.ClientID("rebalance-storm"),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) {
			select {
			case assigned <- struct{}{}:
			default:
			}
		}))...)
	if err != nil {
		return err
	}
	defer client.Close() // leaves the group
	select {
	case <-assigned:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-time.After(memberStay):
	case <-ctx.Done():
	}
	return nil
}
