package compat

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/broker/brokertest"
)

// The broker's own topics are compacted while groups commit, transactions end and records of a share group are acknowledged. After
// kill -9 all three are what they were, from what is left.
func TestCompaction_InternalTopics(t *testing.T) {
	t.Parallel()
	if external != "" {
		t.Skip("kills the broker, and that of MILLRACE_COMPAT_BROKERS is not ours to kill")
	}
	broker := brokertest.Start(t,
		brokertest.WithSetting("log.cleaner.backoff.ms", "50"), brokertest.WithSetting("log.cleaner.min.cleanable.ratio", "0.01"),
		brokertest.WithSetting("log.cleaner.delete.retention.ms", "0"), brokertest.WithSetting("offsets.topic.num.partitions", "1"),
		brokertest.WithSetting("transaction.state.log.num.partitions", "1"), brokertest.WithSetting("share.coordinator.state.topic.num.partitions", "1"))
	seeds := []string{broker.Addr}
	admin := newAdmin(t, seeds)
	topic, group, gone, queue := newTopic(t, seeds, 1, nil), uniqueName(t, "group"), uniqueName(t, "gone"), shareGroup(t, seeds)
	produceFranz(t, seeds, topic, "none", countedRecords("first", 30))

	id, ledger := uniqueName(t, "txn"), newTopic(t, seeds, 1, nil)
	producer := newKgo(t, seeds, kgo.DefaultProduceTopic(ledger), kgo.TransactionalID(id))
	transaction := func(value string) {
		t.Helper()
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := producer.ProduceSync(within(t, patience), kgo.StringRecord(value)).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := producer.EndTransaction(within(t, patience), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
	commit := func(group string, at int64) {
		t.Helper()
		var offsets kadm.Offsets
		offsets.AddOffset(topic, 0, at, -1)
		if err := admin.CommitAllOffsets(within(t, patience), group, offsets); err != nil {
			t.Fatal(err)
		}
	}
	commit(gone, 1)
	transaction("makes the topic of transactions")
	worker := startWorker(t, seeds, queue, topic, accept)
	waitForLag(t, seeds, queue, topic, 0)

	internal := []string{"__consumer_offsets", "__transaction_state", "__share_group_state"}
	small := "2000"
	if _, err := admin.AlterTopicConfigs(within(t, patience), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "internal.segment.bytes", Value: &small}}, internal...); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.DeleteGroups(within(t, patience), gone); err != nil {
		t.Fatal(err)
	}
	const rounds = 60
	for i := range rounds {
		commit(group, int64(i))
		transaction(fmt.Sprint("round ", i))
		produceFranz(t, seeds, topic, "none", countedRecords(fmt.Sprint("round", i), 1))
		waitForLag(t, seeds, queue, topic, 0)
	}
	// What remains of each is a few segments, of what were dozens.
	for _, name := range internal {
		eventually(t, name+" is compacted", func(ctx context.Context) (bool, string) {
			n := int64(0)
			reader := newKgo(t, seeds, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{name: {0: kgo.NewOffset().AtStart()}}))
			defer reader.Close()
			ends, err := admin.ListEndOffsets(ctx, name)
			end, _ := ends.Lookup(name, 0)
			for next := int64(0); err == nil && next < end.Offset; {
				fetches := reader.PollFetches(ctx)
				err = fetches.Err()
				fetches.EachRecord(func(r *kgo.Record) { next = r.Offset + 1; n++ })
			}
			return err == nil && n < end.Offset/2, fmt.Sprintf("%d records left of %d, %v", n, end.Offset, err)
		})
	}
	worker.stop()

	broker.Kill()
	broker.Restart()
	eventually(t, "offset of the group", func(ctx context.Context) (bool, string) {
		offsets, err := admin.FetchOffsets(ctx, group)
		at, _ := offsets.Lookup(topic, 0)
		return err == nil && at.At == rounds-1, fmt.Sprintf("%d, %v", at.At, err)
	})
	groups, err := admin.ListGroups(within(t, patience))
	if _, there := groups[gone]; err != nil || there {
		t.Errorf("the deleted group is there again: %v, %v", groups.Groups(), err)
	}
	transaction("goes on")
	eventually(t, "transaction is complete", func(ctx context.Context) (bool, string) {
		described, err := admin.DescribeTransactions(ctx, id)
		return err == nil && described[id].State == "CompleteCommit", fmt.Sprintf("%+v, %v", described[id], err)
	})
	again := startWorker(t, seeds, queue, topic, accept)
	waitForLag(t, seeds, queue, topic, 0)
	if got := again.seen(); len(got) > 2 { // the last one, and what was out when its worker stopped
		t.Errorf("records that were accepted came again: %v", got)
	}
}
