package broker

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The internal topics can be deleted, as in Kafka: what they kept is gone, and all goes on with topics that are made anew.
func TestInternalTopics_Deleted(t *testing.T) {
	t.Parallel()
	b, client := running(t)
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopics(t.Context(), 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// A client of its own each time: what it knows of coordinators is of this time.
	open := func(options ...kgo.Opt) *kgo.Client {
		t.Helper()
		c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Addr()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, options...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	read := func(c *kgo.Client) {
		t.Helper()
		for {
			fetches := c.PollFetches(ctx)
			if ctx.Err() != nil {
				t.Fatal(ctx.Err())
			}
			if err := fetches.Err0(); err != nil {
				t.Logf("poll: %v", err) // it joins again
			}
			if fetches.NumRecords() > 0 {
				return
			}
		}
	}
	inTransaction := func() {
		t.Helper()
		p := open(kgo.TransactionalID("shop"), kgo.DefaultProduceTopic("orders"))
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := p.ProduceSync(ctx, kgo.StringRecord("x")).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := p.EndTransaction(ctx, kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	inTransaction()
	member := open(kgo.ConsumerGroup("readers"), kgo.HeartbeatInterval(200*time.Millisecond), kgo.ConsumeTopics("orders"), kgo.DisableAutoCommit())
	read(member)
	if err := member.CommitUncommittedOffsets(ctx); err != nil {
		t.Fatal(err)
	}
	setEarliest := func(group string) {
		t.Helper()
		set := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		set.Name, set.Value = "share.auto.offset.reset", kmsg.StringPtr("earliest")
		request := kmsg.NewPtrIncrementalAlterConfigsRequest()
		request.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
			ResourceType: kmsg.ConfigResourceTypeGroupConfig, ResourceName: group, Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{set},
		}}
		response, err := request.RequestWith(ctx, client)
		if err != nil || response.Resources[0].ErrorCode != 0 {
			t.Fatal(err, response)
		}
	}
	setEarliest("sharers")
	read(open(kgo.ShareGroup("sharers"), kgo.ConsumeTopics("orders")))

	deleted, err := admin.DeleteTopics(ctx, "__consumer_offsets", "__transaction_state", "__share_group_state")
	if err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}

	inTransaction()
	setEarliest("others")
	read(open(kgo.ShareGroup("others"), kgo.ConsumeTopics("orders")))
	read(open(kgo.ConsumerGroup("more"), kgo.ConsumeTopics("orders")))
	// The member of before joins a group that nobody knows, and begins at the start.
	for committed := int64(0); committed == 0; {
		read(member)
		if err := member.CommitUncommittedOffsets(ctx); err != nil {
			t.Logf("commit: %v", err) // it has to join again first
		}
		offsets, err := admin.FetchOffsets(ctx, "readers")
		if err != nil {
			t.Fatal(err)
		}
		if o, ok := offsets.Lookup("orders", 0); ok {
			committed = o.At
		}
	}
}
