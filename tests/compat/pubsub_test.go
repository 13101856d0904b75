package compat

import (
	"errors"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"
)

// Watermill's universal suite, which every Pub/Sub has to pass before Watermill calls it ready.
func TestWatermillSuite(t *testing.T) {
	seeds, prefix := seeds(t), uniqueName(t, "")
	inGroup := func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
		t.Helper()
		return watermillPubSub(t, seeds, group)
	}
	tests.TestPubSub(t,
		tests.Features{
			ConsumerGroups:    true,
			Persistent:        true,
			GuaranteedOrder:   true, // for each partition key
			ForceShort:        true, // the long form is a load test: thousands of messages a case
			GenerateTopicFunc: func(c tests.TestContext) string { return prefix + "-" + string(c.TestID) },
		},
		func(t *testing.T) (message.Publisher, message.Subscriber) {
			t.Helper()
			return inGroup(t, prefix)
		},
		inGroup,
	)
}

// The one case of the suite for subscribers without a group: each gets everything, from the beginning.
func TestWatermillSuite_WithoutGroup(t *testing.T) {
	t.Parallel()
	seeds, prefix := seeds(t), uniqueName(t, "")
	tests.TestNewSubscriberReceivesOldMessages(t,
		tests.TestContext{TestID: tests.NewTestID(), Features: tests.Features{
			Persistent:                       true,
			NewSubscriberReceivesOldMessages: true,
			GenerateTopicFunc:                func(c tests.TestContext) string { return prefix + "-" + string(c.TestID) },
		}},
		func(t *testing.T) (message.Publisher, message.Subscriber) {
			t.Helper()
			return watermillPubSub(t, seeds, "")
		},
	)
}

func watermillPubSub(t *testing.T, seeds []string, group string) (message.Publisher, message.Subscriber) {
	t.Helper()
	keyed := kafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) {
		return m.Metadata.Get("partition_key"), nil // the suite's name for it
	})
	publisher, err := kafka.NewPublisher(kafka.PublisherConfig{
		Brokers: seeds, Marshaler: keyed,
	}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	config := kafka.DefaultSaramaSubscriberConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	config.Consumer.Group.Rebalance.Timeout = 3 * time.Second
	config.Producer.RequiredAcks = sarama.WaitForAll
	subscriber, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers: seeds, ConsumerGroup: group,
		Unmarshaler: kafka.DefaultMarshaler{}, OverwriteSaramaConfig: config,
		WaitForTopicCreationTimeout: patience,
		InitializeTopicDetails:      &sarama.TopicDetail{NumPartitions: 8, ReplicationFactor: 1},
	}, watermill.NopLogger{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // the suite leaves some open; a second Close does nothing
		if err := errors.Join(subscriber.Close(), publisher.Close()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return publisher, subscriber
}
