package broker_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
)

// TestKafka_DumpLogDecodesInternalTopics has Kafka's own tool read what groups of each protocol, transactions and share groups
// leave in the internal topics: every record of them has to be one that it knows.
func TestKafka_DumpLogDecodesInternalTopics(t *testing.T) {
	t.Parallel()
	tool := toolScript(t)
	dir := t.TempDir()
	b := brokertest.Start(t, brokertest.WithDir(dir), brokertest.WithSetting("offsets.topic.num.partitions", "1"),
		brokertest.WithSetting("transaction.state.log.num.partitions", "1"), brokertest.WithSetting("share.coordinator.state.topic.num.partitions", "1"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	admin := kadm.NewClient(client(t, b.Addr))
	if _, err := admin.CreateTopic(ctx, 2, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	inTransaction(ctx, t, b.Addr)
	settings := kmsg.NewPtrIncrementalAlterConfigsRequest()
	earliest := "earliest"
	settings.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{
		ResourceType: kmsg.ConfigResourceTypeGroupConfig, ResourceName: "sharing",
		Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "share.auto.offset.reset", Value: &earliest}},
	}}
	if resp, err := settings.RequestWith(ctx, client(t, b.Addr)); err != nil || resp.Resources[0].ErrorCode != 0 {
		t.Fatalf("%+v, %v", resp, err)
	}
	for group, opts := range map[string][]kgo.Opt{
		"classic": {kgo.ConsumerGroup("classic"), kgo.DisableAutoCommit()},
		"modern":  {kgo.ConsumerGroup("modern"), kgo.DisableAutoCommit(), kgo.ServerSideBalancer()},
		"sharing": {kgo.ShareGroup("sharing")},
	} {
		c := client(t, b.Addr, append(opts, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
		for n := 0; n < 10; {
			fetches := c.PollFetches(ctx)
			if err := fetches.Err0(); err != nil {
				t.Fatalf("%s: %v", group, err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				n++
				if group == "sharing" {
					r.Ack(kgo.AckAccept)
				}
			})
		}
		var err error
		if group == "sharing" {
			err = c.FlushAcks(ctx)
		} else {
			err = c.CommitUncommittedOffsets(ctx)
		}
		if err != nil {
			t.Fatalf("%s: %v", group, err)
		}
		c.Close()
	}
	if _, err := admin.DeleteGroup(ctx, "classic"); err != nil {
		t.Fatal(err)
	}
	b.Stop()

	for topic, c := range map[string]struct {
		decoder string
		want    []string
	}{
		"__consumer_offsets": {"--offsets-decoder", []string{
			`"group":"classic"`, `"group":"modern"`, `"groupId":"modern"`, `"groupId":"sharing"`, `"topic":"orders"`, "payload: <DELETE>",
		}},
		"__transaction_state": {"--transaction-log-decoder", []string{`"transactionalId":"shop"`, `"transactionStatus":4`}},
		"__share_group_state": {"--share-group-state-decoder", []string{`"groupId":"sharing"`, `"startOffset":`}},
	} {
		files, err := filepath.Glob(filepath.Join(dir, topic+"-0", "*.log"))
		if err != nil || len(files) == 0 {
			t.Fatalf("files of %s: %v, %v", topic, files, err)
		}
		out := dumpLog(t, tool, "--files", strings.Join(files, ","), c.decoder, "--print-data-log")
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%s: kafka-dump-log does not show %s:\n%s", topic, want, out)
			}
		}
		for _, bad := range []string{"rror at", "unknown", "Unknown", "Could not", "Exception"} {
			if strings.Contains(out, bad) {
				t.Errorf("%s: %s:\n%s", topic, bad, out)
			}
		}
	}
}

// inTransaction produces ten records and commits an offset with them.
func inTransaction(ctx context.Context, t *testing.T, addr string) {
	t.Helper()
	c := client(t, addr, kgo.TransactionalID("shop"), kgo.DefaultProduceTopic("orders"))
	if err := c.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		if err := c.ProduceSync(ctx, kgo.StringRecord(fmt.Sprint("order ", i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	id, epoch, err := c.ProducerID(ctx)
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch, req.Generation = "shop", "in-transaction", id, epoch, -1
	rt := kmsg.NewTxnOffsetCommitRequestTopic()
	rt.Topic = "orders"
	rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	rp.Offset = 5
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, c)
	if err != nil || len(resp.Topics) != 1 || resp.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatalf("%+v, %v", resp, err)
	}
	if err := c.EndTransaction(ctx, kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
}

func dumpLog(t *testing.T, tool string, args ...string) string {
	t.Helper()
	out, err := exec.Command(tool, append([]string{"kafka-dump-log"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("kafka-dump-log %v: %v\n%s", args, err, out)
	}
	return string(out)
}
