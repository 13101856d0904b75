package server_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
)

// setFeature changes a level in whichever direction.
func (c *rawClient) setFeature(name string, level int16, way int8) {
	c.t.Helper()
	req := kmsg.NewPtrUpdateFeaturesRequest()
	u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	u.Feature, u.MaxVersionLevel, u.UpgradeType = name, level, way
	req.FeatureUpdates = append(req.FeatureUpdates, u)
	if resp := ask[*kmsg.UpdateFeaturesResponse](c, req, 2); resp.ErrorCode != 0 {
		c.t.Fatalf("%s to %d: %s", name, level, deref(resp.ErrorMessage))
	}
}

// Requests of a feature that is off are refused with UNSUPPORTED_VERSION, each in the place that Kafka
// uses, and served again when it is on; both last over a restart.
func TestFeatures_OffIsRefused(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.InMemory())
	group, member := "g", "AAAAAAAAAAAAAAAAAAAAAA"
	heartbeat := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	heartbeat.Group, heartbeat.MemberID, heartbeat.RebalanceTimeoutMillis = group, member, 1000
	heartbeat.SubscribedTopicNames, heartbeat.Topics = []string{"orders"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	describe := kmsg.NewPtrConsumerGroupDescribeRequest()
	describe.Groups = []string{group}
	share := kmsg.NewPtrShareGroupHeartbeatRequest()
	share.GroupID, share.MemberID, share.SubscribedTopicNames = "s", member, []string{"orders"}
	shareDescribe := kmsg.NewPtrShareGroupDescribeRequest()
	shareDescribe.GroupIDs = []string{"s"}
	shareFetch := kmsg.NewPtrShareFetchRequest()
	shareFetch.GroupID, shareFetch.MemberID = kmsg.StringPtr("s"), &member
	acknowledge := kmsg.NewPtrShareAcknowledgeRequest()
	acknowledge.GroupID, acknowledge.MemberID = kmsg.StringPtr("s"), &member
	offsets := kmsg.NewPtrDescribeShareGroupOffsetsRequest()
	offsets.Groups = append(offsets.Groups, kmsg.DescribeShareGroupOffsetsRequestGroup{GroupID: "s"})
	alter := kmsg.NewPtrAlterShareGroupOffsetsRequest()
	alter.GroupID = "s"
	remove := kmsg.NewPtrDeleteShareGroupOffsetsRequest()
	remove.GroupID = "s"
	codes := func(c *rawClient) string {
		return fmt.Sprint(
			ask[*kmsg.ConsumerGroupHeartbeatResponse](c, heartbeat, 1).ErrorCode,
			ask[*kmsg.ConsumerGroupDescribeResponse](c, describe, 1).Groups[0].ErrorCode,
			ask[*kmsg.ShareGroupHeartbeatResponse](c, share, 1).ErrorCode,
			ask[*kmsg.ShareGroupDescribeResponse](c, shareDescribe, 1).Groups[0].ErrorCode,
			ask[*kmsg.ShareFetchResponse](c, shareFetch, 2).ErrorCode,
			ask[*kmsg.ShareAcknowledgeResponse](c, acknowledge, 2).ErrorCode,
			ask[*kmsg.DescribeShareGroupOffsetsResponse](c, offsets, 1).Groups[0].ErrorCode,
			ask[*kmsg.AlterShareGroupOffsetsResponse](c, alter, 0).ErrorCode,
			ask[*kmsg.DeleteShareGroupOffsetsResponse](c, remove, 0).ErrorCode,
		)
	}
	c := dialBroker(t, b)
	c.setFeature("group.version", 0, 2)
	c.setFeature("share.version", 0, 3)
	if got := codes(c); got != "35 35 35 35 35 35 35 35 35" {
		t.Errorf("both off: error codes %s, want 35 everywhere", got)
	}
	b.Restart()
	c = dialBroker(t, b)
	if got := codes(c); got != "35 35 35 35 35 35 35 35 35" {
		t.Errorf("both off, after a restart: error codes %s, want 35 everywhere", got)
	}
	c.setFeature("group.version", 1, 1)
	if got := ask[*kmsg.ConsumerGroupHeartbeatResponse](c, heartbeat, 1); got.ErrorCode != 0 {
		t.Errorf("group.version is 1 again: heartbeat is answered with %d", got.ErrorCode)
	}
	if got := ask[*kmsg.ShareGroupHeartbeatResponse](c, share, 1).ErrorCode; got != kerr.UnsupportedVersion.Code {
		t.Errorf("share.version is still 0: heartbeat is answered with %d", got)
	}
}

// Clients choose the protocol of transactions by the level: all three carry a transaction through.
func TestFeatures_EachLevelOfTransactions(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.InMemory())
	admin := dialBroker(t, b)
	admin.createTopic("orders", 1)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, level := range []int16{2, 1, 0} {
		admin.setFeature("transaction.version", level, 2)
		client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.TransactionalID(fmt.Sprint("t", level)), kgo.DefaultProduceTopic("orders"))
		if err != nil {
			t.Fatal(err)
		}
		for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
			if err := client.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
			if err := client.ProduceSync(ctx, kgo.StringRecord(fmt.Sprintf("level %d commit %v", level, end))).FirstErr(); err != nil {
				t.Errorf("level %d: %v", level, err)
			}
			if err := client.EndTransaction(ctx, end); err != nil {
				t.Errorf("level %d: end: %v", level, err)
			}
		}
		client.Close()
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.ConsumeTopics("orders"), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var got []string
	for len(got) < 3 && ctx.Err() == nil {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	if want := "[level 2 commit true level 1 commit true level 0 commit true]"; fmt.Sprint(got) != want {
		t.Errorf("committed: %v, want %s", got, want)
	}
}
