package messaging

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/IBM/sarama"

	"millrace/pkg/events"
)

// EnsureTopics creates the topics that do not exist yet. While the broker is away it
// waits and tries again until ctx ends. An existing topic stays as it is. The
// replication factor is the broker's default.
func EnsureTopics(ctx context.Context, c Config, log *slog.Logger, topics ...events.Topic) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	config, err := c.Sarama()
	if err != nil {
		return err
	}
	config.Metadata.Retry.Max = 0 // the loop below does that
	// Between two tries; ctx cannot interrupt a try itself.
	config.Net.ReadTimeout = requestTimeout
	pause := 100 * time.Millisecond
	for {
		err := ensureTopics(c.Brokers, config, topics)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			log.WarnContext(ctx, "broker does not answer yet", "brokers", c.Brokers, "error", err, "next_try", pause)
		}
		if !wait(ctx, pause) {
			return fmt.Errorf("ensure topics: %w", errors.Join(context.Cause(ctx), err))
		}
		pause = min(2*pause, maxBackoff)
	}
}

func ensureTopics(brokers []string, config *sarama.Config, topics []events.Topic) error {
	admin, err := sarama.NewClusterAdmin(brokers, config)
	if err != nil {
		return err
	}
	defer admin.Close()
	existing, err := admin.ListTopics()
	if err != nil {
		return err
	}
	var errs []error
	for _, topic := range topics {
		if _, ok := existing[topic.Name]; ok {
			continue
		}
		// -1: the broker's default (KIP-464).
		detail := &sarama.TopicDetail{NumPartitions: topic.Partitions, ReplicationFactor: -1, ConfigEntries: map[string]*string{}}
		for name, value := range topic.Configs {
			detail.ConfigEntries[name] = &value
		}
		err := admin.CreateTopic(topic.Name, detail, false)
		if err != nil && !errors.Is(err, sarama.ErrTopicAlreadyExists) {
			errs = append(errs, fmt.Errorf("create topic %s: %w", topic.Name, err))
		}
	}
	return errors.Join(errs...)
}

// wait returns false when ctx ended before d, varied by a quarter, was over.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d*3/4 + rand.N(d/2+1))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
