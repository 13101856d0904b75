package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A group changes its protocol as its members do (KIP-848, "Migration"):
//
//	classic, no members ──▶ consumer          when a member of the new kind joins
//	classic with consumers ──▶ consumer       the same; the old members stay, and are served
//	                                          by JoinGroup, SyncGroup and Heartbeat as before
//	consumer, no members ──▶ classic          when a classic member joins
//	consumer ──▶ classic                      when the last member of the new kind goes
//
// Each is one batch of records: it is on disk whole, or has not happened.

// membership is what a group is without its offsets.
type membership struct {
	kind         Kind
	modern       *modern
	state        State
	stateSince   time.Time
	generation   int32
	protocolType string
	protocol     *string
	leader       string
	members      []*member
	byID         map[string]*member
	static       map[string]*member
	pending      map[string]time.Time
	offered      map[string]int
	subscribed   map[string]bool
	joinTimer    joinTimer
	syncTimer    time.Time
	assigning    bool
}

func (g *Group) membership() membership {
	return membership{
		g.kind, g.modern, g.state, g.stateSince, g.generation, g.protocolType, g.protocol, g.leader, g.members, g.byID,
		g.static, g.pending, g.offered, g.subscribed, g.joinTimer, g.syncTimer, g.assigning,
	}
}

func (g *Group) setMembership(m membership) {
	g.kind, g.modern, g.state, g.stateSince, g.generation = m.kind, m.modern, m.state, m.stateSince, m.generation
	g.protocolType, g.protocol, g.leader, g.members, g.byID = m.protocolType, m.protocol, m.leader, m.members, m.byID
	g.static, g.pending, g.offered, g.subscribed = m.static, m.pending, m.offered, m.subscribed
	g.joinTimer, g.syncTimer, g.assigning = m.joinTimer, m.syncTimer, m.assigning
}

// noMembers is the membership of an empty group.
func (g *Group) noMembers(kind Kind) membership {
	m := membership{
		kind: kind, state: Empty, stateSince: g.now,
		byID: map[string]*member{}, static: map[string]*member{}, pending: map[string]time.Time{}, offered: map[string]int{},
	}
	if kind != Classic {
		m.modern, m.protocolType = newModern(), kind.protocolType()
	}
	return m
}

// startModern makes a group without members one where the broker assigns. What is on
// disk of a classic one is buried.
func (g *Group) startModern(kind Kind) {
	before := g.membership()
	if g.protocolType != "" {
		g.emit(MetadataTombstone{})
	}
	g.undo = append(g.undo, func() { g.setMembership(before) })
	g.setMembership(g.noMembers(kind))
}

// startClassic makes a consumer group without members a classic one.
func (g *Group) startClassic() {
	before := g.membership()
	g.buryModern()
	g.undo = append(g.undo, func() { g.setMembership(before) })
	g.setMembership(g.noMembers(Classic))
}

// buryModern writes the tombstones of all that is on disk of the membership.
func (g *Group) buryModern() {
	for _, id := range g.modern.ids() {
		g.dropMember(id)
	}
	for regex := range g.modern.regexes {
		g.emit(RegexRecord{regex, nil})
	}
	if g.kind == Share {
		g.emit(StateRecord{})
	}
	g.emit(TargetEpochRecord{g.kind, nil})
	g.emit(EpochRecord{g.kind, nil})
}

// upgrade turns a classic group of consumers into a consumer group. Its members keep
// what they have; those that wait in a join or sync are asked to join again.
func (g *Group) upgrade() *Refusal {
	switch {
	case !g.cfg.Migration.up(), g.protocolType != consumerProtocol, len(g.members) > g.cfg.ConsumerMaxSize:
		return refuse(kerr.GroupIDNotFound, "Group %s is not a consumer group.", g.id)
	}
	type moved struct {
		id   string
		sub  *Subscription
		held Held
	}
	var all []moved
	for _, m := range g.members {
		name := ""
		if g.protocol != nil {
			name = *g.protocol
		}
		if m.metadata(name) == nil && len(m.protocols) > 0 {
			name = m.protocols[0].Name
		}
		sub, _, err := g.readSubscription(m.metadata(name))
		var held Held
		if err == nil {
			held, err = g.readAssignment(m.assignment, g.generation)
		}
		if err != nil {
			return refuse(kerr.GroupIDNotFound, "Cannot upgrade the classic group %s to consumer group because the embedded consumer protocol is malformed.", g.id)
		}
		sub.Instance, sub.ClientID, sub.ClientHost, sub.RebalanceTimeout = m.instance, m.clientID, m.host, m.rebalanceTimeout
		sub.Classic = &ClassicMember{m.session, m.protocols}
		all = append(all, moved{m.id, sub, held})
	}
	for _, m := range g.members {
		g.answerJoin(m, JoinReply{Err: kerr.RebalanceInProgress, MemberID: m.id, Generation: -1})
		g.answerSync(m, SyncReply{Err: kerr.RebalanceInProgress})
	}
	generation := g.generation
	g.startModern(Consumer)
	g.state = Stable
	for _, m := range all {
		g.emit(MemberRecord{Consumer, m.id, m.sub})
	}
	g.emit(EpochRecord{Consumer, &GroupEpoch{Epoch: generation}})
	for _, m := range all {
		g.emit(TargetRecord{Consumer, m.id, &Target{m.held.Sorted()}})
	}
	g.emit(TargetEpochRecord{Consumer, &TargetEpoch{Epoch: generation}})
	for _, m := range all {
		g.emit(CurrentRecord{Consumer, m.id, &Current{Epoch: generation, Previous: generation, Assigned: m.held}})
		g.modernAlive(g.modern.member(m.id))
	}
	g.event(Event{Kind: RebalanceStarted, Reason: "the group changes to the consumer protocol"})
	return nil
}

// downgradeWithout turns a consumer group into a classic one if without these members
// only classic ones are left.
func (g *Group) downgradeWithout(reason string, gone []string) bool {
	m := g.modern
	left := slices.DeleteFunc(m.ids(), func(id string) bool { return slices.Contains(gone, id) })
	if g.kind != Consumer || len(left) == 0 || len(left) > g.cfg.MaxSize || !g.cfg.Migration.down() {
		return false
	}
	for _, id := range left {
		if m.members[id].sub.Classic == nil {
			return false
		}
	}
	for _, id := range gone {
		g.event(Event{Kind: MemberRemoved, Member: id, Reason: reason})
	}
	g.downgrade(left)
	g.rejoinAll = "the group changes to the classic protocol"
	return true
}

// downgrade makes the classic group of the members named, with what they are to have.
func (g *Group) downgrade(left []string) {
	m := g.modern
	before := g.membership()
	now := g.noMembers(Classic)
	now.state, now.generation, now.protocolType = Stable, m.epoch, consumerProtocol
	var members []*member
	for _, id := range left {
		sub := m.members[id].sub
		o := &member{
			id: id, instance: sub.Instance, clientID: sub.ClientID, host: sub.ClientHost, session: sub.Classic.SessionTimeout,
			rebalanceTimeout: sub.RebalanceTimeout, protocols: sub.Classic.Protocols,
		}
		o.assignment = g.writeAssignment(sub, m.targets[id])
		members = append(members, o)
	}
	g.buryModern()
	g.undo = append(g.undo, func() { g.setMembership(before) })
	g.setMembership(now)
	for _, o := range members {
		g.add(o, consumerProtocol)
		g.keepAlive(o)
	}
	name := g.vote()
	g.protocol = &name
	g.subscribed = g.subscriptions()
	g.emit(g.metadata(nil))
}

// afterRemoval goes on when members are gone: a group that has become classic lets all
// join again.
func (g *Group) afterRemoval() {
	reason := g.rejoinAll
	g.rejoinAll = ""
	if reason != "" && g.kind == Classic && g.state == Stable {
		g.prepareRebalance(reason)
	}
}

// readSubscription reads a consumer's embedded protocol: what it subscribes to, and the
// partitions that it says it owns, nil if it does not.
func (g *Group) readSubscription(b []byte) (*Subscription, []Partition, error) {
	p := kmsg.NewConsumerMemberMetadata()
	if err := p.ReadFrom(b); err != nil {
		return nil, nil, err
	}
	sub := &Subscription{Topics: slices.Clone(p.Topics)}
	slices.Sort(sub.Topics)
	sub.Topics = slices.Compact(sub.Topics)
	if p.Rack != nil {
		sub.Rack = *p.Rack
	}
	owned := []Partition{}
	for _, t := range p.OwnedPartitions {
		id, _, ok := g.cluster.Topic(t.Topic)
		if !ok {
			continue
		}
		for _, i := range t.Partitions {
			owned = append(owned, Partition{Topic: id, Index: i})
		}
	}
	return sub, owned, nil
}

// readAssignment reads what a classic leader has given to a member. None: nothing.
func (g *Group) readAssignment(b []byte, epoch int32) (Held, error) {
	held := Held{}
	if len(b) == 0 {
		return held, nil
	}
	a := kmsg.NewConsumerMemberAssignment()
	if err := a.ReadFrom(b); err != nil {
		return nil, err
	}
	for _, t := range a.Topics {
		id, _, ok := g.cluster.Topic(t.Topic)
		if !ok {
			continue
		}
		for _, i := range t.Partitions {
			held[Partition{Topic: id, Index: i}] = epoch
		}
	}
	return held, nil
}

// writeAssignment gives partitions the form that a classic member reads, in the version
// of its subscription.
func (g *Group) writeAssignment(sub *Subscription, ps []Partition) []byte {
	a := kmsg.NewConsumerMemberAssignment()
	if p := sub.Classic.Protocols; len(p) > 0 && len(p[0].Metadata) >= 2 {
		a.Version = min(max(int16(p[0].Metadata[0])<<8|int16(p[0].Metadata[1]), 0), 3)
	}
	for _, t := range ByTopic(ps) {
		if name := g.cluster.TopicName(t.Topic); name != "" {
			a.Topics = append(a.Topics, kmsg.ConsumerMemberAssignmentTopic{Topic: name, Partitions: t.Partitions})
		}
	}
	return a.AppendTo(nil)
}
