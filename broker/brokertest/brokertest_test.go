package brokertest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func client(t *testing.T, b *Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Addr), kgo.AllowAutoTopicCreation()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func produce(t *testing.T, c *kgo.Client, topic string, from, n int) {
	t.Helper()
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{Topic: topic, Key: fmt.Append(nil, from+i), Value: []byte(fmt.Sprint("value ", from+i))})
	}
	if err := c.ProduceSync(deadline(t), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func consume(t *testing.T, c *kgo.Client, n int) map[string]int {
	t.Helper()
	ctx := deadline(t)
	got := map[string]int{}
	for len(got) < n {
		fetches := c.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			t.Fatal(e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) { got[string(r.Value)]++ })
	}
	for v, times := range got {
		if times != 1 {
			t.Fatalf("%q came %d times", v, times)
		}
	}
	return got
}

func TestStart_ProducesAndConsumes(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]Option{"folder": nil, "memory": {InMemory()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := Start(t, append(options, WithSetting("num.partitions", "4"))...)
			c := client(t, b)
			produce(t, c, "orders", 0, 1000)
			consume(t, client(t, b, kgo.ConsumeTopics("orders")), 1000)
			consume(t, client(t, b, kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("g")), 1000)
		})
	}
}

func TestKill_KeepsWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	b := Start(t, InMemory(), WithSetting("num.partitions", "3"))
	c := client(t, b)
	for round := range 5 {
		produce(t, c, "orders", round*100, 100)
		b.Kill()
		b.Restart()
	}
	consume(t, client(t, b, kgo.ConsumeTopics("orders")), 500)
}

func TestRestart_GroupGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	b := Start(t)
	produce(t, client(t, b), "orders", 0, 10)
	group := []kgo.Opt{kgo.ConsumeTopics("orders"), kgo.ConsumerGroup("g"), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}
	first := client(t, b, group...)
	consume(t, first, 10)
	if err := first.CommitUncommittedOffsets(deadline(t)); err != nil {
		t.Fatal(err)
	}
	first.Close()
	b.Restart()
	produce(t, client(t, b), "orders", 10, 5)
	for v := range consume(t, client(t, b, group...), 5) {
		if v < "value 10" {
			t.Fatalf("%q came again", v)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		Start(b).Stop()
	}
}
