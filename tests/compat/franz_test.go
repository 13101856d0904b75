package compat

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

var franzCodecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

func produceFranz(t *testing.T, seeds []string, topic, codec string, records []record) {
	t.Helper()
	client := newKgo(t, seeds, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(franzCodecs[codec]))
	out := make([]*kgo.Record, len(records))
	for i, r := range records {
		out[i] = &kgo.Record{Key: r.key, Value: r.value}
		for _, h := range r.headers {
			out[i].Headers = append(out[i].Headers, kgo.RecordHeader{Key: h.key, Value: h.value})
		}
	}
	if err := client.ProduceSync(within(t, patience), out...).FirstErr(); err != nil {
		t.Fatalf("franz-go produce: %v", err)
	}
}

func joinFranz(t *testing.T, seeds []string, group, topic string) *member {
	t.Helper()
	return joinFranzWith(t, seeds, group, topic)
}

// joinFranzWith is joinFranz with options of its own.
func joinFranzWith(t *testing.T, seeds []string, group, topic string, extra ...kgo.Opt) *member {
	t.Helper()
	client := newKgo(t, seeds, append([]kgo.Opt{
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(kgo.RangeBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.RebalanceTimeout(rebalanceTimeout),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
	}, extra...)...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	m := &member{}
	m.leave = func() {
		cancel()
		<-done
		client.CloseAllowingRebalance()
	}
	t.Cleanup(m.close)
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			fetches := client.PollFetches(ctx)
			fetches.EachRecord(func(r *kgo.Record) { m.add(fromFranz(r)) })
			if records := fetches.Records(); len(records) > 0 {
				if err := client.CommitRecords(ctx, records...); err != nil && ctx.Err() == nil {
					t.Errorf("franz-go commit: %v", err)
				}
			}
			client.AllowRebalance()
		}
	}()
	return m
}

func fromFranz(r *kgo.Record) record {
	out := record{topic: r.Topic, partition: r.Partition, offset: r.Offset, key: r.Key, value: r.Value}
	for _, h := range r.Headers {
		out.headers = append(out.headers, header{h.Key, h.Value})
	}
	return out
}

// readFranz reads n records of a topic from its start, without a group.
func readFranz(t *testing.T, seeds []string, topic string, n int, opts ...kgo.Opt) []*kgo.Record {
	t.Helper()
	client := newKgo(t, seeds, append([]kgo.Opt{
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}, opts...)...)
	ctx := within(t, patience)
	var records []*kgo.Record
	for len(records) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("franz-go read %d of %d records of %s: %v", len(records), n, topic, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}
