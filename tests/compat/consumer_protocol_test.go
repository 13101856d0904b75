package compat

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
)

// joinConsumerProtocol adds a member that lets the broker assign (KIP-848).
func joinConsumerProtocol(t *testing.T, seeds []string, group, topic string) *member {
	t.Helper()
	return joinFranzWith(t, seeds, group, topic, kgo.ServerSideBalancer())
}

// Members of a group where the broker assigns share the partitions, hand them on when one leaves,
// and go on where the group was.
func TestConsumerProtocol_MembersShareAndHandOn(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	admin := newAdmin(t, seeds)
	topic, group := newTopic(t, seeds, 6, nil), uniqueName(t, "group")
	members := []*member{joinConsumerProtocol(t, seeds, group, topic)}
	waitForAssigned(t, seeds, group, []int{6})
	members = append(members, joinConsumerProtocol(t, seeds, group, topic))
	waitForAssigned(t, seeds, group, []int{3, 3})

	var want []record
	write := func(round string) {
		t.Helper()
		records := samples(round, 60)
		produceFranz(t, seeds, topic, "none", records)
		want = append(want, records...)
		waitForAll(t, members, len(want))
		waitForOffsets(t, admin, group, topic)
	}
	write("two members")
	members[0].close()
	waitForAssigned(t, seeds, group, []int{6})
	write("one member")
	members[1].close()

	var got []record
	for _, m := range members {
		got = append(got, m.records()...)
	}
	sameRecords(t, want, got)
}

// A topic that grows, and topics by regular expression that come later, reach the members.
func TestConsumerProtocol_TopicsChange(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	admin := newAdmin(t, seeds)
	topic, group := newTopic(t, seeds, 2, nil), uniqueName(t, "group")
	m := joinFranzWith(t, seeds, group, "^"+topic+".*$", kgo.ServerSideBalancer(), kgo.ConsumeRegex())
	waitForAssigned(t, seeds, group, []int{2})
	if _, err := admin.CreatePartitions(within(t, patience), 2, topic); err != nil {
		t.Fatal(err)
	}
	waitForAssigned(t, seeds, group, []int{4})
	later := topic + "-later"
	if _, err := admin.CreateTopic(within(t, patience), 3, 1, nil, later); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = admin.DeleteTopic(within(t, patience), later) })
	waitForAssigned(t, seeds, group, []int{7})
	produceFranz(t, seeds, later, "none", samples("later", 20))
	waitForRecords(t, m, 20)
}

// A group goes from the classic protocol to the new one member by member, and back, while it reads.
func TestConsumerProtocol_GroupMigrates(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic, group := newTopic(t, seeds, 4, nil), uniqueName(t, "group")
	// The classic member holds on to the protocol that both kinds know: cooperative or range.
	old := joinFranz(t, seeds, group, topic)
	waitForShares(t, newAdmin(t, seeds), group, topic, 1, 4)
	fresh := joinConsumerProtocol(t, seeds, group, topic)
	waitForAssigned(t, seeds, group, []int{2, 2})
	first := samples("both kinds", 40)
	produceFranz(t, seeds, topic, "none", first)
	waitForAll(t, []*member{old, fresh}, len(first))
	fresh.close()
	waitForShares(t, newAdmin(t, seeds), group, topic, 1, 4)
	second := samples("classic again", 40)
	produceFranz(t, seeds, topic, "none", second)
	waitForAll(t, []*member{old, fresh}, len(first)+len(second))
	old.close()
	waitForState(t, newAdmin(t, seeds), group, "Empty")
}

// waitForAssigned waits until a group of the consumer protocol is stable and its members have so many
// partitions.
func waitForAssigned(t *testing.T, seeds []string, group string, shares []int) {
	t.Helper()
	client := newKgo(t, seeds)
	eventually(t, fmt.Sprintf("%s is stable with %v", group, shares), func(ctx context.Context) (bool, string) {
		d, err := describeConsumerGroup(ctx, client, group)
		if err != nil {
			return false, err.Error()
		}
		var got []int
		for _, m := range d.Members {
			n := 0
			for _, tp := range m.Assignment.TopicPartitions {
				n += len(tp.Partitions)
			}
			got = append(got, n)
		}
		slices.Sort(got)
		return d.State == "Stable" && slices.Equal(got, shares), fmt.Sprint(d.State, got, d.ErrorCode)
	})
}

// waitForOffsets waits until the group has committed everything that the topic holds.
func waitForOffsets(t *testing.T, admin *kadm.Client, group, topic string) {
	t.Helper()
	eventually(t, "everything committed", func(ctx context.Context) (bool, string) {
		offsets, err := admin.FetchOffsets(ctx, group)
		if err != nil {
			return false, err.Error()
		}
		ends, err := admin.ListEndOffsets(ctx, topic)
		if err != nil {
			return false, err.Error()
		}
		missing := ""
		ends.Each(func(end kadm.ListedOffset) {
			if at, _ := offsets.Lookup(topic, end.Partition); end.Offset > 0 && at.At != end.Offset {
				missing += fmt.Sprintf(" partition %d: %d of %d", end.Partition, at.At, end.Offset)
			}
		})
		return missing == "", missing
	})
}

func describeConsumerGroup(ctx context.Context, client *kgo.Client, group string) (*kmsg.ConsumerGroupDescribeResponseGroup, error) {
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = []string{group}
	shards := client.RequestSharded(ctx, req)
	if len(shards) != 1 || shards[0].Err != nil {
		return nil, fmt.Errorf("describe %s: %v", group, shards)
	}
	resp := shards[0].Resp.(*kmsg.ConsumerGroupDescribeResponse)
	if len(resp.Groups) != 1 {
		return nil, fmt.Errorf("describe %s: %d groups", group, len(resp.Groups))
	}
	return &resp.Groups[0], nil
}

// The broker is killed under members of a group where it assigns: the members go on by themselves,
// and nothing that was committed is read again by whoever comes next.
func TestConsumerProtocol_SurvivesKills(t *testing.T) {
	t.Parallel()
	if external != "" {
		t.Skip("kills the broker, and that of MILLRACE_COMPAT_BROKERS is not ours to kill")
	}
	broker := brokertest.Start(t)
	seeds := []string{broker.Addr}
	admin := newAdmin(t, seeds)
	topic, group := newTopic(t, seeds, 4, nil), uniqueName(t, "group")
	members := []*member{joinConsumerProtocol(t, seeds, group, topic), joinConsumerProtocol(t, seeds, group, topic)}
	waitForAssigned(t, seeds, group, []int{2, 2})
	var want []record
	for round := range 3 {
		if round > 0 {
			broker.Kill()
			broker.Restart()
		}
		records := samples(fmt.Sprint("round ", round), 40)
		produceFranz(t, seeds, topic, "none", records)
		want = append(want, records...)
		waitForAll(t, members, len(want))
		waitForOffsets(t, admin, group, topic)
	}
	waitForAssigned(t, seeds, group, []int{2, 2})
	for _, m := range members {
		m.close()
	}
	broker.Kill()
	broker.Restart()
	after := samples("after", 20)
	produceFranz(t, seeds, topic, "none", after)
	next := joinConsumerProtocol(t, seeds, group, topic)
	waitForRecords(t, next, len(after))
	next.close()
	sameRecords(t, after, next.records())
}
