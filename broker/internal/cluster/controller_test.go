package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func openFake(t *testing.T, log *memoryLog, settings ...string) *Controller {
	t.Helper()
	c, err := open(context.Background(), log, Options{
		Config:    testConfig(settings...),
		Endpoints: []Endpoint{{"PLAINTEXT", "127.0.0.1", 9092}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func create(t *testing.T, c *Controller, name string, partitions int32) *Topic {
	t.Helper()
	r := c.CreateTopics(context.Background(), []NewTopic{{Name: name, Partitions: partitions, ReplicationFactor: -1}}, false)
	if r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	return r[0].Topic
}

func TestController_ReloadsWhatWasCommitted(t *testing.T) {
	log := &memoryLog{}
	c := openFake(t, log)
	orders := create(t, c, "orders", 4)
	create(t, c, "gone", 1)
	c.DeleteTopics(context.Background(), []TopicRef{{Name: "gone"}})
	pid, err := c.NextProducerID(context.Background())
	if err != nil || pid != 0 {
		t.Fatalf("first producer id %d, %v", pid, err)
	}
	again := openFake(t, log)
	got := again.Image().Topic("orders")
	if got == nil || got.ID != orders.ID || len(got.Partitions) != 4 {
		t.Fatalf("after reload: %+v", got)
	}
	if again.Image().Topic("gone") != nil {
		t.Error("a deleted topic came back")
	}
	if pid, _ := again.NextProducerID(context.Background()); pid != 1000 {
		t.Errorf("producer id after restart: %d, want 1000", pid)
	}
}

func TestController_FailedSyncStopsCommits(t *testing.T) {
	log := &memoryLog{}
	c := openFake(t, log)
	log.failSync = errors.New("disk says no")
	r := c.CreateTopics(context.Background(), []NewTopic{{Name: "a", Partitions: 1, ReplicationFactor: 1}}, false)
	if !errors.Is(r[0].Err, ErrUnavailable) || c.Image().Topic("a") != nil {
		t.Fatalf("got %v, topic %v", r[0].Err, c.Image().Topic("a"))
	}
	log.failSync = nil
	end := log.end
	r = c.CreateTopics(context.Background(), []NewTopic{{Name: "b", Partitions: 1, ReplicationFactor: 1}}, false)
	if !errors.Is(r[0].Err, ErrUnavailable) || log.end != end {
		t.Fatalf("a commit after a failed one: %v, log grew to %d", r[0].Err, log.end)
	}
}

// The log does not grow without end, and each stage of it loads to the same image.
func TestController_Compacts(t *testing.T) {
	log := &memoryLog{}
	c := openFake(t, log)
	ctx := context.Background()
	create(t, c, "orders", 4)
	padding := strings.Repeat("0:1,", 7000) + "0:1"
	for i := range 300 {
		value := padding
		if i%2 == 0 {
			value = "*"
		}
		for _, err := range c.AlterConfigs(ctx, []ConfigChange{{
			Resource: TopicResource, Name: "orders",
			Ops: []ConfigOp{{Name: "leader.replication.throttled.replicas", Op: OpSet, Value: &value}},
		}}, false) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if log.start == 0 {
		t.Error("nothing was dropped")
	}
	size := 0
	for _, b := range log.batches {
		size += len(b)
	}
	if size > 2*snapshotMinBytes {
		t.Errorf("%d bytes are left in the log", size)
	}
	again := openFake(t, log)
	if got, want := describe(again.Image()), describe(c.Image()); strings.SplitN(got, "\n", 2)[0] != strings.SplitN(want, "\n", 2)[0] {
		t.Errorf("reloaded %.300s\nwant %.300s", got, want)
	}
}

// A subscriber sees every image once and in order, before the call that made it
// returns.
func TestController_Subscribe(t *testing.T) {
	c := openFake(t, &memoryLog{})
	var last *Image
	calls := 0
	cancel := c.Subscribe(func(old, now *Image) {
		if old != last {
			t.Errorf("call %d: old image is not the last one", calls)
		}
		last = now
		calls++
	})
	if calls != 1 || last != c.Image() {
		t.Fatalf("%d calls at first", calls)
	}
	create(t, c, "a", 1)
	if calls != 2 || last.Topic("a") == nil || last != c.Image() {
		t.Errorf("%d calls after a change", calls)
	}
	c.CreateTopics(context.Background(), []NewTopic{{Name: "b", Partitions: 1, ReplicationFactor: 1}}, true)
	cancel()
	create(t, c, "c", 1)
	if calls != 2 {
		t.Errorf("%d calls after cancelling and a dry run", calls)
	}
}

// Many at once: each topic is made once, no producer id is given twice.
func TestController_Concurrent(t *testing.T) {
	c := openFake(t, &memoryLog{})
	ctx := context.Background()
	var wg sync.WaitGroup
	var mu sync.Mutex
	made, ids := map[string]int{}, map[int64]int{}
	for g := range 8 {
		wg.Go(func() {
			for i := range 40 {
				name := fmt.Sprintf("t%d", i)
				r := c.CreateTopics(ctx, []NewTopic{{Name: name, Partitions: 1, ReplicationFactor: 1}}, false)
				id, err := c.NextProducerID(ctx)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				ids[id]++
				if r[0].Err == nil {
					made[name]++
				} else if !errors.Is(r[0].Err, ErrTopicExists) {
					t.Error(g, r[0].Err)
				}
				mu.Unlock()
				for topic := range c.Image().Topics() {
					_ = topic.Config.SegmentBytes
				}
			}
		})
	}
	wg.Wait()
	if len(made) != 40 || len(ids) != 320 {
		t.Errorf("%d topics made, %d ids for 320 calls", len(made), len(ids))
	}
	for name, n := range made {
		if n != 1 {
			t.Errorf("%s was made %d times", name, n)
		}
	}
}

func TestController_InternalTopics(t *testing.T) {
	c := openFake(t, &memoryLog{}, "offsets.topic.num.partitions=7", "offsets.topic.segment.bytes=2000000")
	offsets, err := c.EnsureInternalTopic(context.Background(), OffsetsTopic)
	if err != nil {
		t.Fatal(err)
	}
	if len(offsets.Partitions) != 7 || !offsets.Internal || !offsets.Config.Compact() || offsets.Config.SegmentBytes != 2000000 {
		t.Errorf("%+v %+v", offsets, offsets.Config)
	}
	again, err := c.EnsureInternalTopic(context.Background(), OffsetsTopic)
	if err != nil || again.ID != offsets.ID {
		t.Errorf("asked again: %v, %v", again, err)
	}
	transactions, err := c.EnsureInternalTopic(context.Background(), TransactionTopic)
	if err != nil || !transactions.Config.Compact() || transactions.Set["compression.type"] != "uncompressed" {
		t.Errorf("%+v, %v", transactions, err)
	}
}

func TestController_Limits(t *testing.T) {
	c := openFake(t, &memoryLog{})
	create(t, c, "a", MaxPartitionsPerRequest)
	create(t, c, "b", MaxPartitionsPerRequest)
	r := c.CreateTopics(context.Background(), []NewTopic{{Name: "c", Partitions: 1, ReplicationFactor: 1}}, false)
	if !errors.Is(r[0].Err, ErrPolicyViolation) {
		t.Errorf("one partition too many: %v", r[0].Err)
	}
	if err := c.CreatePartitions(context.Background(), []NewPartitions{{Topic: "a", Count: MaxPartitionsPerRequest + 1}}, false)[0]; !errors.Is(err, ErrPolicyViolation) {
		t.Errorf("one partition too many: %v", err)
	}
	long := strings.Repeat("0:1,", maxConfigValue/4+1) + "0:1"
	err := c.AlterConfigs(context.Background(), []ConfigChange{{
		Resource: TopicResource, Name: "a", Ops: []ConfigOp{{Name: "leader.replication.throttled.replicas", Value: &long}},
	}}, false)[0]
	if !errors.Is(err, ErrInvalidConfig) {
		t.Errorf("a value of %d bytes: %v", len(long), err)
	}
}

// A cancelled request does nothing; a closed controller refuses.
func TestController_CancelAndClose(t *testing.T) {
	log := &memoryLog{}
	c := openFake(t, log)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	end := log.end
	r := c.CreateTopics(ctx, []NewTopic{{Name: "a", Partitions: 1, ReplicationFactor: 1}}, false)
	if !errors.Is(r[0].Err, context.Canceled) || log.end != end {
		t.Errorf("cancelled: %v", r[0].Err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.NextProducerID(context.Background()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
}
