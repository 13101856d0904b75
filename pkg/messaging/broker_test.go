package messaging_test

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"millrace/pkg/messaging"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests; none of them takes nearly as long.
const patience = 60 * time.Second

// broker starts a broker inside the test.
func broker(t *testing.T, options ...kfake.Opt) messaging.Config {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.DefaultNumPartitions(4)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	c := messaging.DefaultConfig()
	c.Brokers = cluster.ListenAddrs()
	return c
}

// logger shows the log of a test that runs with MILLRACE_TEST_LOG.
func logger() *slog.Logger {
	w := io.Discard
	if os.Getenv("MILLRACE_TEST_LOG") != "" {
		w = os.Stderr
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func publisher(t *testing.T, c messaging.Config, o messaging.PublisherOptions) *messaging.Publisher {
	t.Helper()
	p, err := messaging.NewPublisher(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// consume starts a consumer and returns what stops it and waits for its end.
func consume(t *testing.T, c *messaging.Consumer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("consumer ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("consumer does not end")
		}
	})
	t.Cleanup(stop)
	return stop
}

func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("waited in vain for ", what)
		panic("unreachable")
	}
}

// eventually waits for a condition that nothing signals.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain: ", what)
		}
	}
}

func ready(t *testing.T, c *messaging.Consumer) {
	t.Helper()
	eventually(t, "consumer is ready", func() bool { return c.Ready(t.Context()) == nil })
}

// client is a foreign client: it looks at the broker from outside.
func client(t *testing.T, c messaging.Config, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.Brokers...)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

// records reads the first n records of a topic.
func records(t *testing.T, c messaging.Config, topic string, n int) []*kgo.Record {
	t.Helper()
	cl := client(t, c, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all []*kgo.Record
	for len(all) < n {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %s: %v after %d of %d records", topic, err, len(all), n)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

// committed returns a group's offset, -1 for none.
func committed(t *testing.T, c messaging.Config, group, topic string, partition int32) int64 {
	t.Helper()
	request := kmsg.NewOffsetFetchRequest()
	request.Group = group
	requested := kmsg.NewOffsetFetchRequestTopic()
	requested.Topic, requested.Partitions = topic, []int32{partition}
	request.Topics = append(request.Topics, requested)
	of := kmsg.NewOffsetFetchRequestGroup()
	of.Group = group
	ofTopic := kmsg.NewOffsetFetchRequestGroupTopic()
	ofTopic.Topic, ofTopic.Partitions = topic, []int32{partition}
	of.Topics = append(of.Topics, ofTopic)
	request.Groups = append(request.Groups, of)
	response, err := request.RequestWith(t.Context(), client(t, c))
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range response.Groups {
		for _, topic := range g.Topics {
			for _, p := range topic.Partitions {
				return p.Offset
			}
		}
	}
	for _, topic := range response.Topics {
		for _, p := range topic.Partitions {
			return p.Offset
		}
	}
	return -1
}
