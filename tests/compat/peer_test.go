package compat

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience bounds every wait of these tests: Apache Kafka on a small machine needs most of it.
const patience = 60 * time.Second

// external names the brokers to judge instead of the bundled one.
var external = os.Getenv("MILLRACE_COMPAT_BROKERS")

// within is the context of one step of a test.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually calls ready until it is true, or fails the test with what it last said.
func eventually(t *testing.T, what string, ready func(context.Context) (ok bool, state string)) {
	t.Helper()
	ctx := within(t, patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, state := ready(ctx)
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %v; last seen: %s", what, patience, state)
		}
	}
}

// uniqueName makes a topic or group name that no other test and no earlier run has.
func uniqueName(t *testing.T, suffix string) string {
	t.Helper()
	test := strings.NewReplacer("/", "-", " ", "-", "#", "-", ".", "-").Replace(t.Name())
	return strings.ToLower(test) + "-" + suffix + "-" + rand.Text()[:8]
}

func newKgo(t *testing.T, seeds []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(seeds...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func newAdmin(t *testing.T, seeds []string) *kadm.Client {
	t.Helper()
	return kadm.NewClient(newKgo(t, seeds))
}

// newTopic creates a topic for one test, and deletes it when the test ends.
func newTopic(t *testing.T, seeds []string, partitions int32, configs map[string]*string) string {
	t.Helper()
	admin := newAdmin(t, seeds)
	name := uniqueName(t, "topic")
	if _, err := admin.CreateTopic(within(t, patience), partitions, 1, configs, name); err != nil {
		t.Fatalf("create topic %s: %v", name, err)
	}
	eventuallyPartitions(t, admin, name, int(partitions))
	t.Cleanup(func() {
		if _, err := admin.DeleteTopic(within(t, patience), name); err != nil {
			t.Errorf("delete topic %s: %v", name, err)
		}
	})
	return name
}

// records counts what a topic holds, by its offsets.
func recordCount(t *testing.T, seeds []string, topic string) int64 {
	t.Helper()
	admin := newAdmin(t, seeds)
	starts, err := admin.ListStartOffsets(within(t, patience), topic)
	if err != nil {
		t.Fatal(err)
	}
	ends, err := admin.ListEndOffsets(within(t, patience), topic)
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		n += end.Offset - start.Offset
	})
	return n
}
