//go:build unix

package chaos

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
)

// forget deletes the shop's topics and groups from a Kafka that an earlier test has
// used: each shop has fresh databases, and would find orders that it never took.
func forget(t *testing.T, brokers string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	var topics []string
	for _, topic := range events.Topics() {
		topics = append(topics, topic.Name)
	}
	groups := []string{events.GroupOrder, events.GroupInventory, events.GroupNotification}
	eventually(t, "topics and groups of earlier shops are gone", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if _, err := admin.DeleteGroups(ctx, groups...); err != nil {
			return err
		}
		if _, err := admin.DeleteTopics(ctx, topics...); err != nil {
			return err
		}
		left, err := admin.ListTopics(ctx, topics...)
		if err != nil {
			return err
		}
		known, err := admin.ListGroups(ctx)
		if err != nil {
			return err
		}
		for name, topic := range left {
			if topic.Err == nil {
				return fmt.Errorf("topic %s is there", name)
			}
		}
		for _, group := range groups {
			if _, there := known[group]; there {
				return fmt.Errorf("group %s is there", group)
			}
		}
		return nil
	})
}
