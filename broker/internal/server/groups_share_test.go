package server_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
)

// groupConfig gives a group a setting.
func groupConfig(t *testing.T, b *brokertest.Broker, group, name, value string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, group
	r.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: name, Value: &value}}
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(timeout(t), client)
	if err != nil || resp.Resources[0].ErrorCode != 0 {
		t.Fatal(err, resp)
	}
}

// Two members of a share group take the records of one topic between them; each record goes
// to one of them, and the group stands at the end.
func TestShareGroups_MembersShareRecords(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, quick...)
	createOrders(t, b)
	groupConfig(t, b, "g", "share.auto.offset.reset", "earliest")
	produceOrders(t, b, 0, 200)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var mu sync.Mutex
	seen := map[string]int{}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.ConsumeTopics("orders"), kgo.ShareGroup("g"))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		wg.Go(func() {
			for ctx.Err() == nil {
				fetches := client.PollFetches(ctx)
				fetches.EachError(func(topic string, p int32, err error) {
					if ctx.Err() == nil {
						t.Errorf("%s/%d: %v", topic, p, err)
					}
				})
				mu.Lock()
				fetches.EachRecord(func(r *kgo.Record) { seen[string(r.Value)]++ })
				if len(seen) == 200 {
					select {
					case <-done:
					default:
						close(done)
					}
				}
				mu.Unlock()
			}
		})
	}
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("not all records came")
	}
	cancel()
	wg.Wait()
	for r, n := range seen {
		if n != 1 {
			t.Errorf("%s was delivered %d times", r, n)
		}
	}
}

// A new share group has no partitions with its first heartbeat, and all of them once their states
// are made. The first records that a member gets are those of one partition: that the others have
// to be loaded too is not waited for.
func TestShareGroups_FirstAnswers(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, quick...)
	c := dialBroker(t, b)
	id := c.createTopic("orders", 2)
	groupConfig(t, b, "g", "share.auto.offset.reset", "earliest")
	for p := range int32(2) {
		r := ask[*kmsg.ProduceResponse](c, produceRequest("orders", id, p, -1, batch(t, 3)), 9)
		if code := r.Topics[0].Partitions[0].ErrorCode; code != 0 {
			t.Fatalf("produce: error %d", code)
		}
	}

	beat := kmsg.NewPtrShareGroupHeartbeatRequest()
	beat.GroupID, beat.MemberID, beat.SubscribedTopicNames = "g", "member-1", []string{"orders"}
	first := ask[*kmsg.ShareGroupHeartbeatResponse](c, beat, 1)
	if first.ErrorCode != 0 || first.Assignment == nil || len(first.Assignment.TopicPartitions) != 0 {
		t.Fatalf("first heartbeat: error %d, assignment %v", first.ErrorCode, first.Assignment)
	}
	beat.MemberEpoch, beat.SubscribedTopicNames = first.MemberEpoch, nil
	for deadline := time.Now().Add(time.Minute); ; {
		r := ask[*kmsg.ShareGroupHeartbeatResponse](c, beat, 1)
		if r.ErrorCode != 0 {
			t.Fatalf("heartbeat: error %d", r.ErrorCode)
		}
		beat.MemberEpoch = r.MemberEpoch
		if r.Assignment != nil {
			if got := r.Assignment.TopicPartitions; len(got) != 1 || got[0].TopicID != id || len(got[0].Partitions) != 2 {
				t.Fatalf("assigned %v", got)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no partitions were assigned")
		}
	}

	fetch := kmsg.NewPtrShareFetchRequest()
	fetch.GroupID, fetch.MemberID = kmsg.StringPtr("g"), kmsg.StringPtr("member-1")
	fetch.MaxWaitMillis, fetch.MinBytes, fetch.MaxBytes, fetch.MaxRecords, fetch.BatchSize = 60_000, 1, 1<<20, 500, 500
	topic := kmsg.NewShareFetchRequestTopic()
	topic.TopicID = id
	topic.Partitions = []kmsg.ShareFetchRequestTopicPartition{{Partition: 0}, {Partition: 1}}
	fetch.Topics = append(fetch.Topics, topic)
	seen := map[int32]int64{}
	for range 2 {
		r := ask[*kmsg.ShareFetchResponse](c, fetch, 1)
		if r.ErrorCode != 0 {
			t.Fatalf("share fetch: error %d", r.ErrorCode)
		}
		given := 0
		for _, topic := range r.Topics {
			for _, p := range topic.Partitions {
				for _, a := range p.AcquiredRecords {
					given++
					seen[p.Partition] += a.LastOffset - a.FirstOffset + 1
				}
			}
		}
		if given != 1 {
			t.Fatalf("%d partitions in one answer: %v", given, r.Topics)
		}
		fetch.ShareSessionEpoch++
		fetch.Topics = nil
	}
	if seen[0] != 3 || seen[1] != 3 {
		t.Fatalf("records by partition: %v", seen)
	}
}
