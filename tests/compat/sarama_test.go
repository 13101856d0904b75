package compat

import (
	"context"
	"errors"
	"testing"

	"github.com/IBM/sarama"
)

var saramaCodecs = map[string]sarama.CompressionCodec{
	"none":   sarama.CompressionNone,
	"gzip":   sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy,
	"lz4":    sarama.CompressionLZ4,
	"zstd":   sarama.CompressionZSTD,
}

func saramaConfig(version sarama.KafkaVersion) *sarama.Config {
	config := sarama.NewConfig()
	config.Version = version
	config.ClientID = "compat-sarama"
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Consumer.Return.Errors = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Interval = heartbeatInterval
	config.Consumer.Group.Session.Timeout = sessionTimeout
	config.Consumer.Group.Rebalance.Timeout = rebalanceTimeout
	config.Consumer.Group.Heartbeat.Interval = heartbeatInterval
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	return config
}

func produceSarama(t *testing.T, seeds []string, topic, codec string, records []record) {
	t.Helper()
	config := saramaConfig(sarama.V3_6_0_0)
	config.Producer.Compression = saramaCodecs[codec]
	produceSaramaWith(t, config, seeds, topic, records)
}

func produceSaramaWith(t *testing.T, config *sarama.Config, seeds []string, topic string, records []record) {
	t.Helper()
	producer, err := sarama.NewSyncProducer(seeds, config)
	if err != nil {
		t.Fatalf("sarama producer: %v", err)
	}
	defer producer.Close()
	out := make([]*sarama.ProducerMessage, len(records))
	for i, r := range records {
		out[i] = &sarama.ProducerMessage{Topic: topic}
		if r.key != nil {
			out[i].Key = sarama.ByteEncoder(r.key)
		}
		if r.value != nil {
			out[i].Value = sarama.ByteEncoder(r.value)
		}
		for _, h := range r.headers {
			out[i].Headers = append(out[i].Headers, sarama.RecordHeader{Key: []byte(h.key), Value: h.value})
		}
	}
	if err := producer.SendMessages(out); err != nil {
		t.Fatalf("sarama produce: %v", err)
	}
}

func joinSarama(t *testing.T, seeds []string, group, topic string) *member {
	t.Helper()
	return joinSaramaWith(t, saramaConfig(sarama.V3_6_0_0), seeds, group, topic)
}

func joinSaramaWith(t *testing.T, config *sarama.Config, seeds []string, group, topic string) *member {
	t.Helper()
	consumer, err := sarama.NewConsumerGroup(seeds, group, config)
	if err != nil {
		t.Fatalf("sarama group: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done, drained := make(chan struct{}), make(chan struct{})
	m := &member{}
	m.leave = func() {
		cancel()
		<-done
		if err := consumer.Close(); err != nil {
			t.Errorf("sarama close: %v", err)
		}
		<-drained
	}
	t.Cleanup(m.close)
	go func() {
		defer close(drained)
		for err := range consumer.Errors() {
			if ctx.Err() == nil {
				t.Logf("sarama consumer: %v", err) // it tries again by itself
			}
		}
	}()
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			err := consumer.Consume(ctx, []string{topic}, saramaHandler{m})
			if err != nil && ctx.Err() == nil && !errors.Is(err, sarama.ErrClosedConsumerGroup) {
				t.Logf("sarama consume: %v", err)
			}
		}
	}()
	return m
}

type saramaHandler struct{ m *member }

func (saramaHandler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (saramaHandler) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (h saramaHandler) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		h.m.add(fromSarama(message))
		session.MarkMessage(message, "")
	}
	return nil
}

func fromSarama(m *sarama.ConsumerMessage) record {
	out := record{topic: m.Topic, partition: m.Partition, offset: m.Offset, key: m.Key, value: m.Value}
	for _, h := range m.Headers {
		out.headers = append(out.headers, header{string(h.Key), h.Value})
	}
	return out
}
