package compat

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// One group with a member of each library: they share the partitions, and when one leaves the
// others take what it had. What was committed is not read again; what was not yet, is.
func TestGroup_LibrariesShareOneGroup(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	admin := newAdmin(t, seeds)
	topic, group := newTopic(t, seeds, 6, nil), uniqueName(t, "group")

	var members []*member
	for _, c := range clients() {
		members = append(members, c.join(t, seeds, group, topic))
		waitForShares(t, admin, group, topic, len(members), 6)
	}

	var want []record
	write := func(round string) {
		t.Helper()
		for _, c := range clients() {
			records := samples(round+"-"+c.name, 60)
			c.produce(t, seeds, topic, "none", records)
			want = append(want, records...)
		}
	}
	write("three members")
	waitForAll(t, members, len(want))
	waitForCommits(t, admin, group, topic)
	for i, m := range members {
		if len(m.records()) == 0 {
			t.Errorf("%s read nothing", clients()[i].name)
		}
	}

	members[1].close()
	waitForShares(t, admin, group, topic, 2, 6)
	write("two members")
	waitForAll(t, members, len(want))
	waitForCommits(t, admin, group, topic)

	members[0].close()
	waitForShares(t, admin, group, topic, 1, 6)
	write("one member")
	waitForAll(t, members, len(want))
	waitForCommits(t, admin, group, topic)
	members[2].close()

	var got []record
	for _, m := range members {
		got = append(got, m.records()...)
	}
	sameRecords(t, want, got)
}

// A group whose members have all left remembers how far it was, whichever library comes next.
func TestGroup_CommitsOutliveMembers(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	admin := newAdmin(t, seeds)
	topic, group := newTopic(t, seeds, 2, nil), uniqueName(t, "group")
	for round, c := range append(clients(), clients()[0]) {
		records := samples(fmt.Sprintf("round-%d", round), 30)
		produceFranz(t, seeds, topic, "none", records)
		m := c.join(t, seeds, group, topic)
		waitForRecords(t, m, len(records))
		waitForCommits(t, admin, group, topic)
		m.close()
		sameRecords(t, records, m.records())
		waitForState(t, admin, group, "Empty")
	}
}

// More members than partitions: the surplus stands by, and takes over when another leaves.
func TestGroup_SurplusMemberStandsBy(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	admin := newAdmin(t, seeds)
	topic, group := newTopic(t, seeds, 2, nil), uniqueName(t, "group")
	members := []*member{
		joinFranz(t, seeds, group, topic), joinSarama(t, seeds, group, topic), joinWatermill(t, seeds, group, topic),
	}
	eventually(t, "two of three members have a partition each", func(ctx context.Context) (bool, string) {
		shares := assignment(ctx, admin, group, topic)
		slices.Sort(shares)
		return slices.Equal(shares, []int{0, 1, 1}), fmt.Sprint(shares)
	})
	members[0].close()
	waitForShares(t, admin, group, topic, 2, 2)
	produceFranz(t, seeds, topic, "none", samples("after", 20))
	waitForAll(t, members[1:], 20)
}

// Two groups on one topic each read everything: broadcast, beside the queue that a group is.
func TestGroup_TwoGroupsEachReadAll(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic := newTopic(t, seeds, 4, nil)
	want := samples("broadcast", 50)
	produceSarama(t, seeds, topic, "lz4", want)
	for _, name := range []string{"inventory-service", "notification-service"} {
		m := joinWatermill(t, seeds, uniqueName(t, name), topic)
		waitForRecords(t, m, len(want))
		m.close()
		sameRecords(t, want, m.records())
	}
}

// waitForAll waits until the members together have read at least n records.
func waitForAll(t *testing.T, members []*member, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d records read", n), func(context.Context) (bool, string) {
		var counts []int
		sum := 0
		for _, m := range members {
			counts = append(counts, len(m.records()))
			sum += counts[len(counts)-1]
		}
		return sum >= n, fmt.Sprint(counts)
	})
}

// assignment is how many of the topic's partitions each member has.
func assignment(ctx context.Context, admin *kadm.Client, group, topic string) []int {
	described, err := admin.DescribeGroups(ctx, group)
	if err != nil || described[group].Err != nil || described[group].State != "Stable" {
		return nil
	}
	var shares []int
	for _, member := range described[group].Members {
		share := 0
		if assigned, ok := member.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				if t.Topic == topic {
					share = len(t.Partitions)
				}
			}
		}
		shares = append(shares, share)
	}
	return shares
}

// waitForShares waits until the group is stable, with so many members that share the partitions evenly.
func waitForShares(t *testing.T, admin *kadm.Client, group, topic string, members, partitions int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d members share %d partitions", members, partitions), func(ctx context.Context) (bool, string) {
		shares := assignment(ctx, admin, group, topic)
		state := fmt.Sprint(shares)
		if len(shares) != members {
			return false, state
		}
		for _, n := range shares {
			if n != partitions/members {
				return false, state
			}
		}
		return true, state
	})
}

// waitForCommits waits until the group has committed everything that the topic holds.
func waitForCommits(t *testing.T, admin *kadm.Client, group, topic string) {
	t.Helper()
	eventually(t, "everything committed", func(ctx context.Context) (bool, string) {
		lags, err := admin.Lag(ctx, group)
		if err != nil {
			return false, err.Error()
		}
		lag := lags[group]
		if err := lag.Error(); err != nil {
			return false, err.Error()
		}
		for _, l := range lag.Lag[topic] {
			if l.Err != nil {
				return false, l.Err.Error()
			}
			if l.Lag != 0 {
				return false, fmt.Sprintf("partition %d: lag %d", l.Partition, l.Lag)
			}
		}
		return len(lag.Lag[topic]) > 0, "no partitions"
	})
}

func waitForState(t *testing.T, admin *kadm.Client, group, state string) {
	t.Helper()
	eventually(t, "group is "+state, func(ctx context.Context) (bool, string) {
		described, err := admin.DescribeGroups(ctx, group)
		if err != nil {
			return false, err.Error()
		}
		return described[group].State == state, described[group].State
	})
}
