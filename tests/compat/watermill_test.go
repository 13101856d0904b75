package compat

import (
	"context"
	"testing"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
)

// watermillUUID is the header in which watermill-kafka carries a message's id.
const watermillUUID = kafka.UUIDHeaderKey

func produceWatermill(t *testing.T, seeds []string, topic, codec string, records []record) {
	t.Helper()
	config := saramaConfig(sarama.V2_8_0_0)
	config.Producer.Compression = saramaCodecs[codec]
	produceWatermillWith(t, config, seeds, topic, records)
}

// produceWatermillWith publishes with Watermill's default marshaler where the key is null, and with
// its partitioning marshaler where there is one.
func produceWatermillWith(t *testing.T, config *sarama.Config, seeds []string, topic string, records []record) {
	t.Helper()
	var keyed, unkeyed []*message.Message
	keys := map[string]string{}
	for _, r := range records {
		m := message.NewMessage(watermill.NewUUID(), r.value)
		for _, h := range r.headers {
			m.Metadata.Set(h.key, string(h.value))
		}
		if r.key == nil {
			unkeyed = append(unkeyed, m)
			continue
		}
		keyed = append(keyed, m)
		keys[m.UUID] = string(r.key)
	}
	partitioning := kafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) {
		return keys[m.UUID], nil
	})
	publish := func(marshaler kafka.Marshaler, messages []*message.Message) {
		t.Helper()
		publisher, err := kafka.NewPublisher(kafka.PublisherConfig{
			Brokers: seeds, Marshaler: marshaler, OverwriteSaramaConfig: config,
		}, watermill.NopLogger{})
		if err != nil {
			t.Fatalf("watermill publisher: %v", err)
		}
		defer publisher.Close()
		if err := publisher.Publish(topic, messages...); err != nil {
			t.Fatalf("watermill publish: %v", err)
		}
	}
	publish(kafka.DefaultMarshaler{}, unkeyed)
	publish(partitioning, keyed)
}

func joinWatermill(t *testing.T, seeds []string, group, topic string) *member {
	t.Helper()
	return joinWatermillWith(t, saramaConfig(sarama.V2_8_0_0), seeds, group, topic)
}

func joinWatermillWith(t *testing.T, config *sarama.Config, seeds []string, group, topic string) *member {
	t.Helper()
	subscriber, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers: seeds, ConsumerGroup: group,
		Unmarshaler: kafka.DefaultMarshaler{}, OverwriteSaramaConfig: config,
	}, watermill.NopLogger{})
	if err != nil {
		t.Fatalf("watermill subscriber: %v", err)
	}
	messages, err := subscriber.Subscribe(context.Background(), topic)
	if err != nil {
		t.Fatalf("watermill subscribe: %v", err)
	}
	done := make(chan struct{})
	m := &member{}
	m.leave = func() {
		if err := subscriber.Close(); err != nil {
			t.Errorf("watermill close: %v", err)
		}
		<-done
	}
	t.Cleanup(m.close)
	go func() {
		defer close(done)
		for msg := range messages {
			m.add(fromWatermill(topic, msg))
			msg.Ack()
		}
	}()
	return m
}

func fromWatermill(topic string, m *message.Message) record {
	out := record{topic: topic, value: m.Payload}
	out.partition, _ = kafka.MessagePartitionFromCtx(m.Context())
	out.offset, _ = kafka.MessagePartitionOffsetFromCtx(m.Context())
	out.key, _ = kafka.MessageKeyFromCtx(m.Context())
	for k, v := range m.Metadata {
		out.headers = append(out.headers, header{k, []byte(v)})
	}
	return out
}
