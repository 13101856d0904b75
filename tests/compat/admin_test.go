package compat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// A topic's life by franz-go's admin client.
func TestAdmin_TopicLife(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	admin := newAdmin(t, seeds)
	ctx := within(t, patience)
	topic := newTopic(t, seeds, 3, map[string]*string{"retention.ms": kadm.StringPtr("86400000")})

	if _, err := admin.CreateTopic(ctx, 3, 1, nil, topic); !errors.Is(err, kerr.TopicAlreadyExists) {
		t.Errorf("second create: %v, want TOPIC_ALREADY_EXISTS", err)
	}
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "no spaces allowed"); !errors.Is(err, kerr.InvalidTopicException) {
		t.Errorf("bad name: %v, want INVALID_TOPIC_EXCEPTION", err)
	}
	if _, err := admin.CreateTopic(ctx, 1, 1, map[string]*string{"no.such.setting": kadm.StringPtr("1")}, uniqueName(t, "x")); !errors.Is(err, kerr.InvalidConfig) {
		t.Errorf("unknown setting: %v, want INVALID_CONFIG", err)
	}
	if _, err := admin.CreateTopic(ctx, 1, 9, nil, uniqueName(t, "x")); !errors.Is(err, kerr.InvalidReplicationFactor) {
		t.Errorf("nine replicas: %v, want INVALID_REPLICATION_FACTOR", err)
	}

	if _, err := admin.CreatePartitions(ctx, 2, topic); err != nil {
		t.Fatalf("two more partitions: %v", err)
	}
	described := eventuallyPartitions(t, admin, topic, 5)
	for _, p := range described.Partitions {
		if p.Leader < 0 || !slices.Equal(p.ISR, p.Replicas) || len(p.Replicas) != 1 {
			t.Errorf("partition %d: leader %d, replicas %v, in sync %v", p.Partition, p.Leader, p.Replicas, p.ISR)
		}
	}

	if _, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{
		{Op: kadm.SetConfig, Name: "segment.bytes", Value: kadm.StringPtr("1048576")},
		{Op: kadm.DeleteConfig, Name: "retention.ms"},
	}, topic); err != nil {
		t.Fatalf("alter: %v", err)
	}
	eventuallyConfig(t, admin, topic, map[string]string{"segment.bytes": "1048576", "retention.ms": "604800000", "cleanup.policy": "delete"})

	if _, err := admin.DeleteTopic(ctx, "no-such-topic"); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("delete unknown: %v, want UNKNOWN_TOPIC_OR_PARTITION", err)
	}
}

// The same by sarama's admin client, whose protocol versions are older.
func TestAdmin_Sarama(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	for _, version := range []sarama.KafkaVersion{sarama.V2_1_0_0, sarama.V2_8_0_0, sarama.V3_6_0_0} {
		t.Run(version.String(), func(t *testing.T) {
			t.Parallel()
			admin, err := sarama.NewClusterAdmin(seeds, saramaConfig(version))
			if err != nil {
				t.Fatal(err)
			}
			defer admin.Close()
			topic := uniqueName(t, "topic")
			if err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1}, false); err != nil {
				t.Fatalf("create: %v", err)
			}
			if err := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 2, ReplicationFactor: 1}, false); !errors.Is(err, sarama.ErrTopicAlreadyExists) {
				t.Errorf("second create: %v", err)
			}
			if err := admin.CreatePartitions(topic, 3, nil, false); err != nil {
				t.Fatalf("third partition: %v", err)
			}
			eventually(t, "three partitions", func(context.Context) (bool, string) {
				topics, err := admin.DescribeTopics([]string{topic})
				if err != nil || len(topics) != 1 {
					return false, fmt.Sprint(topics, err)
				}
				return len(topics[0].Partitions) == 3, strconv.Itoa(len(topics[0].Partitions))
			})
			brokers, controller, err := admin.DescribeCluster()
			if err != nil || len(brokers) != 1 || controller != brokers[0].ID() {
				t.Errorf("cluster: %v, controller %d, %v", brokers, controller, err)
			}
			configs, err := admin.DescribeConfigs([]*sarama.ConfigResource{{Type: sarama.TopicResource, Name: topic}}, sarama.DescribeConfigsOptions{})
			if err != nil || len(configs) != 1 {
				t.Errorf("configs: %v, %v", configs, err)
			}
			if err := admin.DeleteTopic(topic); err != nil {
				t.Fatalf("delete: %v", err)
			}
		})
	}
}

// Offsets by time, the first and the last, and what DeleteRecords leaves.
func TestAdmin_Offsets(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	admin := newAdmin(t, seeds)
	ctx := within(t, patience)
	topic := newTopic(t, seeds, 1, nil)
	produceFranz(t, seeds, topic, "none", samples("early", 10))
	between := time.Now().Add(time.Millisecond)
	eventuallyAfter(t, between)
	produceFranz(t, seeds, topic, "none", samples("late", 10))

	byTime, err := admin.ListOffsetsAfterMilli(ctx, between.UnixMilli(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := byTime.Lookup(topic, 0); o.Offset != 10 || o.Err != nil {
		t.Errorf("first offset after the pause: %d, %v; want 10", o.Offset, o.Err)
	}

	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, 15, -1)
	if _, err := admin.DeleteRecords(ctx, offsets); err != nil {
		t.Fatalf("delete records: %v", err)
	}
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := starts.Lookup(topic, 0); o.Offset != 15 {
		t.Errorf("start offset %d, want 15", o.Offset)
	}
	if records := readFranz(t, seeds, topic, 5); records[0].Offset != 15 {
		t.Errorf("first record left has offset %d, want 15", records[0].Offset)
	}
}

// A group's life as tools see it: listed, described, its offsets set and deleted, the group deleted.
func TestAdmin_GroupLife(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	admin := newAdmin(t, seeds)
	ctx := within(t, patience)
	topic, group := newTopic(t, seeds, 2, nil), uniqueName(t, "group")
	produceFranz(t, seeds, topic, "none", samples("group", 20))

	m := joinFranz(t, seeds, group, topic)
	waitForRecords(t, m, 20)
	waitForCommits(t, admin, group, topic)
	waitForState(t, admin, group, "Stable")
	described, err := admin.DescribeGroups(ctx, group)
	if err != nil {
		t.Fatal(err)
	}
	if g := described[group]; g.ProtocolType != "consumer" || g.Protocol != "range" || len(g.Members) != 1 || g.Members[0].ClientHost == "" {
		t.Errorf("described: %+v", g)
	}
	if deleted, err := admin.DeleteGroup(ctx, group); !errors.Is(err, kerr.NonEmptyGroup) {
		t.Errorf("delete of a live group: %v %v, want NON_EMPTY_GROUP", deleted, err)
	}
	m.close()
	waitForState(t, admin, group, "Empty")

	listed, err := admin.ListGroups(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if listed[group].State != "Empty" || listed[group].ProtocolType != "consumer" {
		t.Errorf("listed: %+v", listed[group])
	}

	back := kadm.Offsets{}
	back.AddOffset(topic, 0, 0, -1)
	if err := admin.CommitAllOffsets(ctx, group, back); err != nil {
		t.Fatalf("reset: %v", err)
	}
	committed, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := committed.Lookup(topic, 0); !ok || o.At != 0 {
		t.Errorf("after the reset partition 0 is at %+v", o)
	}
	set := kadm.TopicsSet{}
	set.Add(topic, 0)
	if _, err := admin.DeleteOffsets(ctx, group, set); err != nil {
		t.Fatalf("delete offsets: %v", err)
	}
	if committed, err = admin.FetchOffsets(ctx, group); err != nil {
		t.Fatal(err)
	}
	if o, ok := committed.Lookup(topic, 0); ok && o.At >= 0 {
		t.Errorf("after the deletion partition 0 is at %+v", o)
	}

	if _, err := admin.DeleteGroup(ctx, group); err != nil {
		t.Fatalf("delete: %v", err)
	}
	if _, err := admin.DeleteGroup(ctx, group); !errors.Is(err, kerr.GroupIDNotFound) {
		t.Errorf("second delete: %v, want GROUP_ID_NOT_FOUND", err)
	}
	if committed, err = admin.FetchOffsets(ctx, group); err != nil {
		t.Fatal(err)
	}
	if o, ok := committed.Lookup(topic, 1); ok && o.At >= 0 {
		t.Errorf("a deleted group still has offset %+v", o)
	}
}
