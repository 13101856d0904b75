package group

import "time"

// metadata is the group as it is written. given are the assignments; nil: those that
// the members have.
func (g *Group) metadata(given map[string][]byte) Metadata {
	md := Metadata{ProtocolType: g.protocolType, Generation: g.generation, Protocol: g.protocol, StateSince: g.stateSince}
	if g.leader != "" {
		leader := g.leader
		md.Leader = &leader
	}
	for _, m := range g.members {
		assignment := m.assignment
		if given != nil {
			assignment = given[m.id]
		}
		md.Members = append(md.Members, MemberMetadata{
			MemberID: m.id, InstanceID: m.instance, ClientID: m.clientID, ClientHost: m.host,
			RebalanceTimeout: m.rebalanceTimeout, SessionTimeout: m.session,
			Subscription: m.metadata(*g.protocol), Assignment: assignment,
		})
	}
	return md
}

// Restore returns a group as its records tell. md is nil where only offsets were
// committed. Members come back with a full session each: they will be heard of, or
// expire. A group that is larger than group.max.size by now starts a rebalance.
func Restore(id string, cfg *Config, now time.Time, md *Metadata, offsets map[TopicPartition]Offset) (*Group, Effects) {
	g := New(id, cfg, now)
	g.known = true
	if offsets != nil {
		g.offsets = offsets
	}
	if md == nil {
		return g, nil
	}
	g.protocolType, g.generation, g.protocol, g.stateSince = md.ProtocolType, md.Generation, md.Protocol, md.StateSince
	for _, r := range md.Members {
		m := &member{
			id: r.MemberID, instance: r.InstanceID, clientID: r.ClientID, host: r.ClientHost,
			session: r.SessionTimeout, rebalanceTimeout: r.RebalanceTimeout, assignment: r.Assignment,
		}
		if md.Protocol != nil {
			m.protocols = []Protocol{{*md.Protocol, r.Subscription}}
		}
		g.add(m, md.ProtocolType)
		g.keepAlive(m)
	}
	if len(g.members) > 0 {
		g.state = Stable
		if md.Leader != nil {
			g.leader = *md.Leader
		}
	}
	g.subscribed = g.subscriptions()
	g.out = nil
	if len(g.members) > cfg.MaxSize {
		g.prepareRebalance("loaded with more members than group.max.size")
	}
	out := g.out
	g.out = nil
	return g, out
}

// Description is what DescribeGroups tells of a group.
type Description struct {
	Kind         Kind
	Modern       *ModernDescription // where the broker assigns
	State        State
	ProtocolType string
	Protocol     string // while Stable
	Generation   int32
	Leader       string
	Members      []MemberMetadata // Subscription only while Stable
	Offsets      int              // how many are committed
}

// Size is the number of members.
func (d *Description) Size() int {
	if d.Modern != nil {
		return len(d.Modern.Members)
	}
	return len(d.Members)
}

// Describe tells how the group stands.
func (g *Group) Describe() Description {
	d := Description{
		Kind: g.kind, State: g.State(), ProtocolType: g.protocolType, Generation: g.generation, Leader: g.leader, Offsets: len(g.offsets),
	}
	if g.modern != nil {
		d.Modern = g.describeModern()
		return d
	}
	stable := g.state == Stable && g.protocol != nil
	if stable {
		d.Protocol = *g.protocol
	}
	for _, m := range g.members {
		r := MemberMetadata{
			MemberID: m.id, InstanceID: m.instance, ClientID: m.clientID, ClientHost: m.host,
			RebalanceTimeout: m.rebalanceTimeout, SessionTimeout: m.session, Assignment: m.assignment,
		}
		if stable {
			r.Subscription = m.metadata(d.Protocol)
		}
		d.Members = append(d.Members, r)
	}
	return d
}

// ProtocolType returns what kind of clients the group has; empty: only offsets are kept.
func (g *Group) ProtocolType() string { return g.protocolType }

// Size returns how many members and committed offsets there are.
func (g *Group) Size() (members, offsets int) {
	if g.modern != nil {
		return len(g.modern.members), len(g.offsets)
	}
	return len(g.members), len(g.offsets)
}
