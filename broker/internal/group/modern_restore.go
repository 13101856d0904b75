package group

import (
	"slices"
	"time"
)

// RestoreModern returns a group where the broker assigns as its records tell: the last
// of each key, in any order. Members come back with a full session each. cluster is the
// metadata as it is now.
func RestoreModern(id string, cfg *Config, now time.Time, cluster Cluster, kind Kind, records []Record, offsets map[TopicPartition]Offset) *Group {
	g := New(id, cfg, now)
	g.known = true
	if offsets != nil {
		g.offsets = offsets
	}
	if cluster != nil {
		g.cluster = cluster
	}
	g.setMembership(g.noMembers(kind))
	// Members first: what they have says nothing without them.
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b Record) int { return rank(a) - rank(b) })
	for _, r := range records {
		g.modern.apply(r)
	}
	for _, m := range g.modern.members {
		g.modernAlive(m)
		if m.cur.State == MemberRevoking && m.sub.Classic == nil {
			m.rebalance = g.arm(max(m.sub.RebalanceTimeout, 0))
		}
	}
	if len(g.modern.members) > 0 {
		g.state = Stable
	}
	return g
}

func rank(r Record) int {
	if _, ok := r.(MemberRecord); ok {
		return 0
	}
	return 1
}

// ModernDescription is what ConsumerGroupDescribe and ShareGroupDescribe tell of a group.
type ModernDescription struct {
	Epoch, AssignmentEpoch int32
	Assignor               string
	Members                []ModernMember
	States                 []ShareTopic // of a share group: the partitions that have a state
}

// ModernMember is one in a [ModernDescription].
type ModernMember struct {
	ID string
	*Subscription
	Epoch    int32
	Assigned []TopicPartitions
	Target   []TopicPartitions
}

// describeModern tells how the group stands.
func (g *Group) describeModern() *ModernDescription {
	m := g.modern
	d := &ModernDescription{Epoch: m.epoch, AssignmentEpoch: m.assigned.Epoch, Assignor: g.assignorName()}
	for _, id := range m.ids() {
		member := m.members[id]
		d.Members = append(d.Members, ModernMember{
			ID: id, Subscription: member.sub, Epoch: member.cur.Epoch,
			Assigned: ByTopic(member.cur.Assigned.Sorted()), Target: ByTopic(m.targets[id]),
		})
	}
	if g.kind == Share {
		d.States = g.stateOf(m.initialized).Topics
	}
	return d
}
