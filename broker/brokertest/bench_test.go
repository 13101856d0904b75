package brokertest

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// withTopic makes the topic bench, of one partition, and returns the broker's address: who waits for a topic to be made
// by its first use measures that.
func withTopic(b *testing.B, broker *Broker) string {
	b.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	if _, err := kadm.NewClient(c).CreateTopic(context.Background(), 1, 1, nil, "bench"); err != nil {
		b.Fatal(err)
	}
	return broker.Addr
}

// BenchmarkProduce writes records of 100 bytes with acks=all to a topic of one
// partition; ns/op is per record.
func BenchmarkProduce(b *testing.B) {
	broker := Start(b)
	c, err := kgo.NewClient(kgo.SeedBrokers(withTopic(b, broker)), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	value := make([]byte, 100)
	b.SetBytes(100)
	b.ReportAllocs()
	for b.Loop() {
		c.Produce(context.Background(), &kgo.Record{Topic: "bench", Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := c.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkProduceSync is the round trip of one record, fsync included.
func BenchmarkProduceSync(b *testing.B) {
	broker := Start(b)
	c, err := kgo.NewClient(kgo.SeedBrokers(withTopic(b, broker)))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	value := make([]byte, 100)
	for b.Loop() {
		if err := c.ProduceSync(context.Background(), &kgo.Record{Topic: "bench", Value: value}).FirstErr(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFetch reads records of 100 bytes; ns/op is per record.
func BenchmarkFetch(b *testing.B) {
	broker := Start(b)
	c, err := kgo.NewClient(kgo.SeedBrokers(withTopic(b, broker)), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	const n = 500_000
	value := make([]byte, 100)
	for range n {
		c.Produce(context.Background(), &kgo.Record{Topic: "bench", Value: value}, nil)
	}
	if err := c.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(100)
	b.ResetTimer()
	for read := 0; read < b.N; {
		r, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr), kgo.ConsumeTopics("bench"))
		if err != nil {
			b.Fatal(err)
		}
		for got := 0; got < n && read < b.N; {
			k := r.PollFetches(context.Background()).NumRecords()
			got += k
			read += k
		}
		r.Close()
	}
}
