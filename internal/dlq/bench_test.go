package dlq_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/broker/brokertest"
	"millrace/internal/dlq"
	"millrace/pkg/events"
)

// BenchmarkRedrive sends letters of about 700 bytes, as many at a time as a chunk takes;
// ns/op is per letter, intent, message and mark included.
func BenchmarkRedrive(b *testing.B) {
	ctx := context.Background()
	broker := brokertest.Start(b)
	producer, err := kgo.NewClient(kgo.SeedBrokers(broker.Addr), kgo.AllowAutoTopicCreation(), kgo.MaxBufferedRecords(100_000))
	if err != nil {
		b.Fatal(err)
	}
	defer producer.Close()
	letter := deadLetter("bench")
	payload, err := events.EncodeDeadLetter(letter)
	if err != nil {
		b.Fatal(err)
	}
	for n := range b.N {
		producer.Produce(ctx, &kgo.Record{Topic: "bench-dlq", Key: fmt.Append(nil, n), Value: payload}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := producer.Flush(ctx); err != nil {
		b.Fatal(err)
	}
	c, err := dlq.Connect(ctx, dlq.Config{Brokers: []string{broker.Addr}, Who: "bench@here"})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	sent := 0
	o := dlq.RedriveOptions{Topics: []string{"bench"}, CreateTopic: true, Report: func(r dlq.Result) {
		if r.Outcome == dlq.Sent {
			sent++
		}
	}}
	b.ResetTimer()
	choice, err := c.Choose(ctx, &o)
	if err == nil {
		err = c.Redrive(ctx, choice, o)
	}
	if err != nil || sent != b.N {
		b.Fatalf("%d of %d were sent, %v", sent, b.N, err)
	}
}

// BenchmarkLedger reads audit records of as many letters; B/letter is what is kept.
func BenchmarkLedger(b *testing.B) {
	payloads := make([][]byte, b.N)
	for n := range payloads {
		a := events.Audit{
			Action: events.AuditRedriveIntent, Letter: events.LetterID{Topic: "orders-dlq", Offset: int64(n)}, LetterTimestamp: failedAt,
			Who: "ann@here", When: failedAt, Group: "inventory-service", RedriveID: fmt.Sprintf("redrive-%026d", n), TargetTopic: "orders-retry-inventory-service",
		}
		var err error
		if payloads[n], err = events.EncodeAudit(a); err != nil {
			b.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	ledger := dlq.NewLedger(nil)
	b.ResetTimer()
	for n, payload := range payloads {
		ledger.Add(int64(n), payload)
	}
	b.StopTimer()
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(b.N), "B/letter")
	runtime.KeepAlive(payloads)
	runtime.KeepAlive(ledger)
}
