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
	case <-time.After(30 * time.Second):
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
