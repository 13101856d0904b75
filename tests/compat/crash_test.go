package compat

import (
	"fmt"
	"testing"

	"millrace/broker/brokertest"
)

// The broker is killed and started again under running members of all three libraries: they go on by
// themselves, and the group's commits are still there for whoever joins next.
func TestCrash_GroupsGoOn(t *testing.T) {
	t.Parallel()
	if external != "" {
		t.Skip("kills the broker, and that of MILLRACE_COMPAT_BROKERS is not ours to kill")
	}
	broker := brokertest.Start(t)
	seeds := []string{broker.Addr}
	admin := newAdmin(t, seeds)
	topic, group := newTopic(t, seeds, 6, nil), uniqueName(t, "group")

	var members []*member
	for _, c := range clients() {
		members = append(members, c.join(t, seeds, group, topic))
	}
	waitForShares(t, admin, group, topic, 3, 6)
	var want []record
	for round := range 3 {
		if round > 0 {
			broker.Kill()
			broker.Restart()
		}
		for _, c := range clients() {
			records := samples(fmt.Sprintf("round-%d-%s", round, c.name), 30)
			c.produce(t, seeds, topic, "snappy", records)
			want = append(want, records...)
		}
		waitForAll(t, members, len(want))
		waitForCommits(t, admin, group, topic)
	}
	var got []record
	for _, m := range members {
		m.close()
		got = append(got, m.records()...)
	}
	sameRecords(t, want, got)

	broker.Kill()
	broker.Restart()
	after := samples("after", 20)
	produceSarama(t, seeds, topic, "none", after)
	next := joinFranz(t, seeds, group, topic)
	waitForRecords(t, next, len(after))
	next.close()
	sameRecords(t, after, next.records())
}
