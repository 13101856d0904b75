package cluster

import (
	"context"
	"errors"
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
