package group

import (
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Epochs that a member sends to join and to leave (KIP-848).
const (
	joinEpoch        int32 = 0
	leaveEpoch       int32 = -1
	leaveStaticEpoch int32 = -2 // a static member goes, and will be back
)

func (g *Group) refuseHeartbeat(ref Ref, err *Refusal) {
	g.rollBack()
	g.reply(ref, ConsumerHeartbeatReply{Err: err})
}

func (g *Group) onConsumerHeartbeat(in ConsumerHeartbeat) {
	if err := g.checkConsumerHeartbeat(in); err != nil {
		g.refuseHeartbeat(in.Ref, err)
		return
	}
	if g.deleting || g.state == Dead {
		g.refuseHeartbeat(in.Ref, refuse(kerr.CoordinatorNotAvailable, "the group is being deleted"))
		return
	}
	if in.Epoch < 0 {
		g.consumerLeave(in)
		return
	}
	g.visible = in.Visible
	if err := g.becomeConsumer(in.Epoch == joinEpoch); err != nil {
		g.refuseHeartbeat(in.Ref, err)
		return
	}
	if in.MemberID == "" {
		in.MemberID = in.NewMemberID
	}
	m := g.modern
	if len(m.members) >= g.cfg.ConsumerMaxSize && m.member(in.MemberID) == nil {
		g.refuseHeartbeat(in.Ref, refuse(kerr.GroupMaxSizeReached, "the group has %d members, which is group.consumer.max.size", len(m.members)))
		return
	}
	before, err := g.consumerMember(in.MemberID, in.InstanceID, in.Epoch, in.Owned, in.Epoch == joinEpoch, false)
	if err != nil {
		g.refuseHeartbeat(in.Ref, err)
		return
	}
	member := g.subscribe(in.MemberID, before, in)
	changed := before == nil || !sameTopics(before, member.sub) || before.Regex != member.sub.Regex
	assigned := member.cur.Assigned
	g.refresh(changed)
	g.retarget()
	g.reconcile(member, in.Owned, changed && before != nil)

	full := in.Epoch == joinEpoch || in.RebalanceTimeout >= 0 && (in.Topics != nil || in.Regex != nil) && in.Owned != nil
	g.commit(func(err *kerr.Error) {
		if err != nil {
			g.reply(in.Ref, ConsumerHeartbeatReply{Err: &Refusal{Error: err}})
			return
		}
		g.modernAlive(member)
		r := ConsumerHeartbeatReply{MemberID: member.id, Epoch: member.cur.Epoch, Interval: g.cluster.Settings(g.id).HeartbeatInterval}
		if full || !sameHeld(assigned, member.cur.Assigned) {
			r.Assignment = ByTopic(member.cur.Assigned.Sorted())
			r.Assigned = true
		}
		g.reply(in.Ref, r)
	})
}

// checkConsumerHeartbeat refuses what no group would take.
func (g *Group) checkConsumerHeartbeat(in ConsumerHeartbeat) *Refusal {
	invalid := func(what string) *Refusal { return refuse(kerr.InvalidRequest, "%s", what) }
	switch {
	case in.MemberID == "" && (in.MustHaveID || in.Epoch != joinEpoch):
		return invalid("MemberId can't be empty.")
	case in.InstanceID != nil && strings.TrimSpace(*in.InstanceID) == "":
		return invalid("InstanceId can't be empty.")
	case in.RackID != nil && strings.TrimSpace(*in.RackID) == "":
		return invalid("RackId can't be empty.")
	case in.Epoch < leaveStaticEpoch:
		return invalid("MemberEpoch is invalid.")
	case in.Epoch == leaveStaticEpoch && in.InstanceID == nil:
		return invalid("InstanceId can't be null.")
	case in.Epoch == joinEpoch && in.RebalanceTimeout < 0:
		return invalid("RebalanceTimeoutMs must be provided in first request.")
	case in.Epoch == joinEpoch && (in.Owned == nil || len(in.Owned) > 0):
		return invalid("TopicPartitions must be empty when (re-)joining.")
	case in.Epoch == joinEpoch && in.Topics == nil && (in.Regex == nil || *in.Regex == ""):
		return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
	}
	if in.Assignor != nil && !slices.Contains(g.cfg.Assignors, *in.Assignor) {
		return refuse(kerr.UnsupportedAssignor, "ServerAssignor %s is not supported. Supported assignors: %s.", *in.Assignor, strings.Join(g.cfg.Assignors, ", "))
	}
	if in.Regex != nil && *in.Regex != "" {
		if _, err := compileTopicRegex(*in.Regex); err != nil {
			return refuse(kerr.InvalidRegularExpression, "SubscribedTopicRegex `%s` is not a valid regular expression: %v.", *in.Regex, err)
		}
	}
	return nil
}

// becomeConsumer makes sure that this is a consumer group. One that does not exist, or
// has no members, becomes one when somebody joins; one with classic members if they are
// consumers and the migration policy allows.
func (g *Group) becomeConsumer(joining bool) *Refusal {
	switch {
	case g.kind == Consumer:
		return nil
	case !joining && !g.known:
		return refuse(kerr.GroupIDNotFound, "Group %s not found.", g.id)
	case joining && g.kind == Classic && g.state == Empty:
		g.startModern(Consumer)
		return nil
	case joining && g.kind == Classic:
		return g.upgrade()
	}
	return refuse(kerr.GroupIDNotFound, "Group %s is not a consumer group.", g.id)
}

// consumerMember finds who sends a request, nil for a new member. A static member that
// comes back takes the place of its former self.
func (g *Group) consumerMember(id string, instance *string, epoch int32, owned []Partition, joining, classic bool) (*Subscription, *Refusal) {
	m := g.modern
	if instance == nil {
		member := m.member(id)
		switch {
		case member == nil && joining:
			return nil, nil
		case member == nil:
			return nil, refuse(kerr.UnknownMemberID, "Member %s is not a member of group %s.", id, g.id)
		case classic:
			return member.sub, nil
		}
		return member.sub, checkEpoch(member, epoch, owned)
	}
	old := m.member(m.static[*instance])
	switch {
	case old == nil && joining:
		return nil, nil
	case old == nil:
		return nil, refuse(kerr.UnknownMemberID, "Instance id %s is unknown.", *instance)
	case !joining && old.id != id:
		return nil, refuse(kerr.FencedInstanceID, "Static member %s with instance id %s was fenced by member %s.", id, *instance, old.id)
	case !joining && classic:
		return old.sub, nil
	case !joining:
		return old.sub, checkEpoch(old, epoch, owned)
	case !classic && old.sub.Classic == nil && old.cur.Epoch != leaveStaticEpoch:
		return nil, refuse(kerr.UnreleasedInstanceID, "Static member %s with instance id %s cannot join the group because the instance id is owned by member %s.", id, *instance, old.id)
	}
	return g.replaceMember(old, id), nil
}

// replaceMember puts a new member id in the place of an old one: same subscription,
// same partitions. It starts from epoch 0, as it knows nothing.
func (g *Group) replaceMember(old *modernMember, id string) *Subscription {
	sub, target := old.sub, g.modern.targets[old.id]
	cur := &Current{State: old.cur.State, Assigned: old.cur.Assigned, Revoking: old.cur.Revoking}
	g.dropMember(old.id)
	g.emit(MemberRecord{Consumer, id, sub})
	g.emit(TargetRecord{Consumer, id, &Target{target}})
	g.emit(CurrentRecord{Consumer, id, cur})
	return sub
}

// dropMember writes a member's tombstones.
func (g *Group) dropMember(id string) {
	g.emit(CurrentRecord{g.kind, id, nil})
	g.emit(TargetRecord{g.kind, id, nil})
	g.emit(MemberRecord{g.kind, id, nil})
}

// checkEpoch tells whether a heartbeat comes from where the member is. The epoch before
// is accepted if the answer with the new one seems to have been lost. So is epoch 0: the
// member joins again, holds nothing, and is told what it has.
func checkEpoch(m *modernMember, epoch int32, owned []Partition) *Refusal {
	known := m.cur.Epoch
	if epoch == known || epoch == joinEpoch {
		return nil
	}
	if epoch < known && epoch == m.cur.Previous && owned != nil && !slices.ContainsFunc(owned, func(p Partition) bool { return !holds(m.cur.Assigned, p) }) {
		return nil
	}
	than := "smaller"
	if epoch > known {
		than = "greater"
	}
	return refuse(kerr.FencedMemberEpoch, "The consumer group member has a %s member epoch (%d) than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.", than, epoch, known)
}

// subscribe takes over what a heartbeat says; fields that it leaves out stay. before is
// nil for a new member.
func (g *Group) subscribe(id string, before *Subscription, in ConsumerHeartbeat) *modernMember {
	sub := Subscription{RebalanceTimeout: -1}
	if before != nil {
		sub = *before
	}
	if in.InstanceID != nil {
		sub.Instance = *in.InstanceID
	}
	if in.RackID != nil {
		sub.Rack = *in.RackID
	}
	if in.RebalanceTimeout >= 0 {
		sub.RebalanceTimeout = in.RebalanceTimeout
	}
	if in.Assignor != nil {
		sub.Assignor = *in.Assignor
	}
	if in.Topics != nil {
		sub.Topics = slices.Clone(in.Topics)
		slices.Sort(sub.Topics)
		sub.Topics = slices.Compact(sub.Topics)
	}
	if in.Regex != nil {
		sub.Regex = *in.Regex
	}
	sub.ClientID, sub.ClientHost, sub.Classic = in.ClientID, in.ClientHost, nil
	g.updateMember(id, before, &sub)
	return g.modern.member(id)
}

// updateMember writes a subscription if it is new, and resolves its expression.
func (g *Group) updateMember(id string, before, sub *Subscription) {
	if before != nil && sameSubscription(before, sub) {
		return
	}
	if before == nil {
		g.event(Event{Kind: MemberAdded, Member: id})
	}
	g.emit(MemberRecord{g.kind, id, sub})
	if before != nil && before.Regex != sub.Regex {
		g.dropUnusedRegex(before.Regex)
	}
	g.resolve(sub.Regex)
}

func sameTopics(a, b *Subscription) bool { return slices.Equal(a.Topics, b.Topics) }

func sameSubscription(a, b *Subscription) bool {
	return sameTopics(a, b) && a.Regex == b.Regex && a.Instance == b.Instance && a.Rack == b.Rack && a.ClientID == b.ClientID &&
		a.ClientHost == b.ClientHost && a.RebalanceTimeout == b.RebalanceTimeout && a.Assignor == b.Assignor && sameClassic(a.Classic, b.Classic)
}

func sameClassic(a, b *ClassicMember) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.SessionTimeout == b.SessionTimeout && (&member{protocols: a.Protocols}).offersSame(b.Protocols)
}

func sameHeld(a, b Held) bool {
	if len(a) != len(b) {
		return false
	}
	for p := range a {
		if !holds(b, p) {
			return false
		}
	}
	return true
}

// reconcile brings a member a step towards its target, if it is not there. When its
// subscription has changed, what it does not read any more is taken back at once, even
// if the next target is not computed yet.
func (g *Group) reconcile(member *modernMember, owned []Partition, resubscribed bool) {
	m, cur := g.modern, member.cur
	if cur.State == MemberStable && cur.Epoch == m.assigned.Epoch && !resubscribed {
		return
	}
	epoch := cur.Epoch
	if cur.State == MemberRevoking {
		if owned == nil || holdsAny(cur.Revoking, owned) {
			return
		}
		epoch = min(epoch+1, m.assigned.Epoch)
	}
	target := m.targets[member.id]
	if resubscribed {
		target = g.readable(member.sub, target)
	}
	next := g.towards(member.id, epoch, cur, target, owned)
	if next.Epoch == cur.Epoch && next.State == cur.State && sameHeld(next.Assigned, cur.Assigned) && sameHeld(next.Revoking, cur.Revoking) {
		return
	}
	g.emit(CurrentRecord{Consumer, member.id, next})
	member.rebalance = time.Time{}
	if next.State == MemberRevoking && member.sub.Classic == nil {
		member.rebalance = g.arm(max(member.sub.RebalanceTimeout, 0))
	}
}

// readable keeps of a target what a subscription covers.
func (g *Group) readable(sub *Subscription, target []Partition) []Partition {
	ids := map[TopicID]bool{}
	for _, name := range g.modern.topicsOf(sub) {
		if id, _, ok := g.cluster.Topic(name); ok {
			ids[id] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(target), func(p Partition) bool { return !ids[p.Topic] })
}

// modernAlive starts a member's session anew.
func (g *Group) modernAlive(m *modernMember) {
	m.session = g.arm(g.sessionOf(m))
}

func (g *Group) sessionOf(m *modernMember) time.Duration {
	switch {
	case m.sub.Classic != nil:
		return m.sub.Classic.SessionTimeout
	case g.kind == Share:
		return g.cluster.Settings(g.id).ShareSession
	}
	return g.cluster.Settings(g.id).SessionTimeout
}

// consumerLeave handles a member that goes, for good or, if it is static, for a while.
func (g *Group) consumerLeave(in ConsumerHeartbeat) {
	if g.kind != Consumer {
		text := "Group %s is not a consumer group."
		if !g.known {
			text = "Group %s not found."
		}
		g.refuseHeartbeat(in.Ref, refuse(kerr.GroupIDNotFound, text, g.id))
		return
	}
	m := g.modern
	member := m.member(in.MemberID)
	if in.InstanceID != nil {
		member = m.member(m.static[*in.InstanceID])
	}
	switch {
	case member == nil && in.InstanceID != nil:
		g.refuseHeartbeat(in.Ref, refuse(kerr.UnknownMemberID, "Instance id %s is unknown.", *in.InstanceID))
		return
	case member == nil:
		g.refuseHeartbeat(in.Ref, refuse(kerr.UnknownMemberID, "Member %s is not a member of group %s.", in.MemberID, g.id))
		return
	case member.id != in.MemberID:
		g.refuseHeartbeat(in.Ref, refuse(kerr.FencedInstanceID, "Static member %s with instance id %s was fenced by member %s.", in.MemberID, *in.InstanceID, member.id))
		return
	}
	if in.Epoch == leaveStaticEpoch {
		away := *member.cur
		away.Epoch, away.Revoking = leaveStaticEpoch, nil
		if away.State == MemberRevoking {
			away.State = MemberStable
		}
		g.emit(CurrentRecord{Consumer, member.id, &away})
		member.rebalance = time.Time{}
	} else {
		g.removeMembers("left", member.id)
	}
	g.commit(func(err *kerr.Error) {
		r := ConsumerHeartbeatReply{MemberID: in.MemberID, Epoch: in.Epoch}
		if err != nil {
			r = ConsumerHeartbeatReply{Err: &Refusal{Error: err}}
		}
		g.reply(in.Ref, r)
		g.afterRemoval()
	})
}

// removeMembers takes members out and raises the group epoch: the next heartbeat of
// another one computes a new target. If only classic members stay, the group becomes
// classic again, should the policy allow it.
func (g *Group) removeMembers(reason string, ids ...string) {
	if g.downgradeWithout(reason, ids) {
		return
	}
	for _, id := range ids {
		regex := g.modern.members[id].sub.Regex
		g.dropMember(id)
		g.dropUnusedRegex(regex)
		g.event(Event{Kind: MemberRemoved, Member: id, Reason: reason})
	}
	g.refresh(true)
}
