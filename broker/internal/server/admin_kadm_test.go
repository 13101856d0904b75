package server_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
)

func newAdmin(t *testing.T, b *brokertest.Broker, options ...kgo.Opt) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Addr)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

func timeout(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// A topic's life by way of the admin client that Go programs use.
func TestAdmin_TopicLife(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.InMemory(), brokertest.WithSetting("num.partitions", "3"))
	admin, ctx := newAdmin(t, b), timeout(t)

	created, err := admin.CreateTopic(ctx, -1, -1, map[string]*string{"retention.ms": kadm.StringPtr("86400000")}, "orders")
	if err != nil {
		t.Fatal(err)
	}
	if created.NumPartitions != 3 || created.ReplicationFactor != 1 || *created.Configs["retention.ms"].Value != "86400000" {
		t.Errorf("created %+v", created)
	}
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "orders"); !errors.Is(err, kerr.TopicAlreadyExists) {
		t.Errorf("created twice: %v", err)
	}
	if _, err := admin.CreateTopic(ctx, 1, 3, nil, "three"); !errors.Is(err, kerr.InvalidReplicationFactor) {
		t.Errorf("three replicas: %v", err)
	}
	validated, err := admin.ValidateCreateTopics(ctx, 2, 1, nil, "later")
	if err != nil || validated["later"].Err != nil {
		t.Errorf("validated: %v, %v", validated, err)
	}

	if err := firstError(admin.UpdatePartitions(ctx, 5, "orders")); err != nil {
		t.Error(err)
	}
	details, err := admin.ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(details.Names(), []string{"orders"}) || len(details["orders"].Partitions) != 5 || details["orders"].ID != created.ID {
		t.Errorf("topics %+v", details)
	}

	configs, err := admin.DescribeTopicConfigs(ctx, "orders", "nosuch")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range configs {
		if want := c.Name == "nosuch"; errors.Is(c.Err, kerr.UnknownTopicOrPartition) != want {
			t.Errorf("%s: %v", c.Name, c.Err)
		}
	}
	altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: "max.message.bytes", Value: kadm.StringPtr("2000")},
		{Op: kadm.DeleteConfig, Name: "retention.ms"},
		{Op: kadm.AppendConfig, Name: "cleanup.policy", Value: kadm.StringPtr("compact")},
	}, "orders")
	if err != nil || altered[0].Err != nil {
		t.Fatalf("%+v, %v", altered, err)
	}
	if got := topicConfig(t, admin, "orders"); got["max.message.bytes"] != "2000" || got["retention.ms"] != "604800000" || got["cleanup.policy"] != "delete,compact" {
		t.Errorf("after altering: %v", got)
	}

	deleted, err := admin.DeleteTopics(ctx, "orders", "nosuch")
	if err != nil {
		t.Fatal(err)
	}
	if deleted["orders"].Err != nil || !errors.Is(deleted["nosuch"].Err, kerr.UnknownTopicOrPartition) {
		t.Errorf("deleted %+v", deleted)
	}
	if details, err := newAdmin(t, b).ListTopics(ctx); err != nil || len(details) != 0 { // a client keeps what it knows for a while
		t.Errorf("left: %v, %v", details, err)
	}
}

func firstError(r kadm.CreatePartitionsResponses, err error) error {
	if err != nil {
		return err
	}
	return r.Error()
}

func topicConfig(t *testing.T, admin *kadm.Client, topic string) map[string]string {
	t.Helper()
	configs, err := admin.DescribeTopicConfigs(timeout(t), topic)
	if err != nil || configs[0].Err != nil {
		t.Fatalf("%+v, %v", configs, err)
	}
	out := map[string]string{}
	for _, c := range configs[0].Configs {
		out[c.Key] = c.MaybeValue()
	}
	return out
}

// What was changed at run time holds at once and after a crash.
func TestAdmin_SurvivesKill(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.InMemory())
	admin, ctx := newAdmin(t, b), timeout(t)
	if _, err := admin.CreateTopic(ctx, 2, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	before, err := admin.ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	size := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "message.max.bytes", Value: kadm.StringPtr("3000")}}
	if r, err := admin.AlterBrokerConfigs(ctx, size); err != nil || r[0].Err != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "gone"); err != nil {
		t.Fatal(err)
	}
	if r, err := admin.DeleteTopics(ctx, "gone"); err != nil || r.Error() != nil {
		t.Fatalf("%+v, %v", r, err)
	}

	b.Kill()
	b.Restart()

	admin = newAdmin(t, b)
	after, err := admin.ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != 1 || after["orders"].ID != before["orders"].ID || len(after["orders"].Partitions) != 2 {
		t.Errorf("after a crash %+v, before it %+v", after, before)
	}
	if was, is := before["orders"].Partitions[0].LeaderEpoch, after["orders"].Partitions[0].LeaderEpoch; is <= was {
		t.Errorf("leader epoch %d after a crash, %d before it", is, was)
	}
	if got := topicConfig(t, admin, "orders")["max.message.bytes"]; got != "3000" {
		t.Errorf("max.message.bytes is %s", got)
	}
}

// The broker's settings are described with where they come from.
func TestAdmin_BrokerConfigs(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.InMemory(), brokertest.WithSetting("log.retention.hours", "1"))
	admin, ctx := newAdmin(t, b), timeout(t)
	configs, err := admin.DescribeBrokerConfigs(ctx, 1)
	if err != nil || configs[0].Err != nil {
		t.Fatalf("%+v, %v", configs, err)
	}
	sources := map[string]kmsg.ConfigSource{}
	for _, c := range configs[0].Configs {
		sources[c.Key] = c.Source
		if c.Key == "advertised.listeners" && !strings.HasSuffix(c.MaybeValue(), b.Addr) {
			t.Errorf("advertised.listeners is %s, clients come in at %s", c.MaybeValue(), b.Addr)
		}
	}
	if sources["log.retention.hours"] != kmsg.ConfigSourceStaticBrokerConfig || sources["num.partitions"] != kmsg.ConfigSourceDefaultConfig {
		t.Errorf("sources %v", sources)
	}
	if got := topicConfigOf(t, admin, "__none"); got != nil {
		t.Errorf("settings of no topic: %v", got)
	}
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	if got := topicConfig(t, admin, "orders")["retention.ms"]; got != "3600000" {
		t.Errorf("retention.ms is %s", got)
	}
}

func topicConfigOf(t *testing.T, admin *kadm.Client, topic string) []kadm.Config {
	t.Helper()
	configs, err := admin.DescribeTopicConfigs(timeout(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	return configs[0].Configs
}

// A topic is created for a client that names it and allows it, and for no other; a
// deleted one is not brought back by a client that still knows it.
func TestAdmin_AutoCreation(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.InMemory(), brokertest.WithSetting("num.partitions", "4"))
	admin, ctx := newAdmin(t, b), timeout(t)

	strict := newClient(t, b)
	if err := strict.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("x")}).FirstErr(); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("without leave to create: %v", err)
	}
	lenient := newClient(t, b, kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(1)) // the first answer is that it is unknown
	if err := lenient.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	topics, err := admin.ListTopics(ctx)
	if err != nil || len(topics["orders"].Partitions) != 4 {
		t.Fatalf("%+v, %v", topics, err)
	}
	reader := newClient(t, b, kgo.ConsumeTopics("orders"))
	if fetches := reader.PollFetches(ctx); fetches.NumRecords() != 1 {
		t.Fatalf("read %d records: %v", fetches.NumRecords(), fetches.Err())
	}
	if r, err := admin.DeleteTopics(ctx, "orders"); err != nil || r.Error() != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	reader.ForceMetadataRefresh()
	_ = reader.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("x")}) // asks for metadata of what it knew
	if topics, err := newAdmin(t, b).Metadata(ctx); err != nil || len(topics.Topics) != 0 {
		t.Fatalf("a deleted topic came back: %+v, %v", topics.Topics, err)
	}

	off := brokertest.Start(t, brokertest.InMemory(), brokertest.WithSetting("auto.create.topics.enable", "false"))
	lenient = newClient(t, off, kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(1))
	if err := lenient.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("x")}).FirstErr(); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("with auto.create.topics.enable=false: %v", err)
	}
}

func newClient(t *testing.T, b *brokertest.Broker, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Addr), kgo.UnknownTopicRetries(0)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// Every topic is found once by paging, however small the pages.
func TestAdmin_DescribeTopicPartitionsPages(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.InMemory())
	client, ctx := newClient(t, b), timeout(t)
	admin := kadm.NewClient(client)
	want := 0
	for i := range 7 {
		if _, err := admin.CreateTopic(ctx, int32(i+1), 1, nil, "t"+strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
		want += i + 1
	}
	for limit := int32(1); limit < 30; limit += 3 {
		seen := map[string]bool{}
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit = limit
		for pages := 0; ; pages++ {
			resp, err := req.RequestWith(ctx, client)
			if err != nil || pages > 100 {
				t.Fatalf("page %d: %v", pages, err)
			}
			n := int32(0)
			for _, topic := range resp.Topics {
				for _, p := range topic.Partitions {
					n++
					key := *topic.Topic + strconv.Itoa(int(p.Partition))
					if seen[key] {
						t.Errorf("limit %d: %s twice", limit, key)
					}
					seen[key] = true
				}
			}
			if n > limit {
				t.Errorf("limit %d: %d partitions in a page", limit, n)
			}
			if resp.NextCursor == nil {
				break
			}
			req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic, Partition: resp.NextCursor.Partition}
		}
		if len(seen) != want {
			t.Errorf("limit %d: %d partitions, want %d", limit, len(seen), want)
		}
	}
}

// Each version of each admin request is answered, with the fields it has.
func TestAdmin_EveryVersion(t *testing.T) {
	t.Parallel()
	s := &adminScenario{conn: dialPeer(t), ids: map[string][16]byte{}}
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = kmsg.StringPtr("nosuch")
	for _, c := range []struct {
		req      kmsg.Request
		min, max int16
	}{
		{&kmsg.MetadataRequest{Topics: []kmsg.MetadataRequestTopic{topic}}, 4, 13},
		{&kmsg.CreateTopicsRequest{Topics: []kmsg.CreateTopicsRequestTopic{{Topic: "a", NumPartitions: 1, ReplicationFactor: 1}}}, 2, 7},
		{&kmsg.CreatePartitionsRequest{Topics: []kmsg.CreatePartitionsRequestTopic{{Topic: "a", Count: 1}}}, 0, 3},
		{&kmsg.DescribeConfigsRequest{Resources: []kmsg.DescribeConfigsRequestResource{{ResourceType: 4, ResourceName: "1"}}}, 1, 4},
		{&kmsg.AlterConfigsRequest{Resources: []kmsg.AlterConfigsRequestResource{{ResourceType: 2, ResourceName: "nosuch"}}}, 0, 2},
		{&kmsg.IncrementalAlterConfigsRequest{Resources: []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: 2, ResourceName: "nosuch"}}}, 0, 1},
		{&kmsg.DescribeClusterRequest{EndpointType: 1}, 0, 2},
		{&kmsg.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 10}, 0, 0},
		{&kmsg.DeleteTopicsRequest{TopicNames: []string{"nosuch"}, Topics: []kmsg.DeleteTopicsRequestTopic{{Topic: kmsg.StringPtr("nosuch")}}}, 1, 6},
	} {
		for v := c.min; v <= c.max; v++ {
			c.req.SetVersion(v)
			if _, err := s.send(c.req); err != nil {
				t.Errorf("%T version %d: %v", c.req, v, err)
			}
		}
	}
}
