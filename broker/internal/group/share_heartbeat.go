package group

import (
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Share groups (KIP-932): the same epochs and target assignment as consumer groups, but a
// partition may have several members, so that nothing has to be given back first. Before a
// partition is assigned for the first time its state is initialized: the caller is asked
// to, by [InitShare], and the heartbeat that caused it waits.

func (g *Group) onShareHeartbeat(in ShareHeartbeat) {
	if err := g.checkShareHeartbeat(in); err != nil {
		g.refuseHeartbeat(in.Ref, err)
		return
	}
	if in.Epoch == leaveEpoch {
		g.shareLeave(in)
		return
	}
	joining := in.Epoch == joinEpoch
	switch {
	case g.kind == Share:
	case joining && !g.known:
		g.startModern(Share)
	case !g.known:
		g.refuseHeartbeat(in.Ref, refuse(kerr.GroupIDNotFound, "Group %s not found.", g.id))
		return
	default:
		g.refuseHeartbeat(in.Ref, refuse(kerr.GroupIDNotFound, "Group %s is not a share group.", g.id))
		return
	}
	m := g.modern
	member := m.member(in.MemberID)
	var err *Refusal
	switch {
	case member == nil && !joining:
		err = refuse(kerr.UnknownMemberID, "Member %s is not a member of group %s.", in.MemberID, g.id)
	case member == nil && len(m.members) >= g.cfg.ShareMaxSize:
		err = refuse(kerr.GroupMaxSizeReached, "the group has %d members, which is group.share.max.size", len(m.members))
	case member != nil && !joining && in.Epoch != member.cur.Epoch && in.Epoch != member.cur.Previous:
		err = refuse(kerr.FencedMemberEpoch, "The share group member has member epoch %d, the group coordinator knows %d. The member must rejoin.", in.Epoch, member.cur.Epoch)
	}
	if err != nil {
		g.refuseHeartbeat(in.Ref, err)
		return
	}
	changed := g.subscribeShare(in, member)
	if g.initialize(in, changed) {
		return
	}
	member = m.member(in.MemberID)
	assigned := member.cur
	g.refresh(changed)
	g.retarget()
	g.reconcileShare(member, changed)
	g.commit(func(err *kerr.Error) {
		if err != nil {
			g.reply(in.Ref, ShareHeartbeatReply{Err: &Refusal{Error: err}})
			return
		}
		g.modernAlive(member)
		r := ShareHeartbeatReply{MemberID: member.id, Epoch: member.cur.Epoch, Interval: g.cluster.Settings(g.id).ShareHeartbeat}
		if joining || in.Topics != nil || !sameHeld(assigned.Assigned, member.cur.Assigned) {
			r.Assigned, r.Assignment = true, ByTopic(member.cur.Assigned.Sorted())
		}
		g.reply(in.Ref, r)
	})
}

// reconcileShare gives a member its target. When its subscription has changed, what it does
// not read any more is taken back at once, even if the next target is not computed yet.
func (g *Group) reconcileShare(member *modernMember, resubscribed bool) {
	m, cur := g.modern, member.cur
	if cur.Epoch == m.assigned.Epoch && !resubscribed {
		return
	}
	next := &Current{Epoch: m.assigned.Epoch, Previous: cur.Previous, Assigned: Held{}}
	if next.Epoch != cur.Epoch {
		next.Previous = cur.Epoch
	}
	target := m.targets[member.id]
	if resubscribed {
		target = g.readable(member.sub, target)
	}
	for _, p := range target {
		next.Assigned[p] = 0
	}
	if next.Epoch != cur.Epoch || !sameHeld(next.Assigned, cur.Assigned) {
		g.emit(CurrentRecord{Share, member.id, next})
	}
}

// maxShareMemberID is the length of a UUID, by which members name themselves (GroupCoordinatorService).
const maxShareMemberID = 36

func (g *Group) checkShareHeartbeat(in ShareHeartbeat) *Refusal {
	invalid := func(what string) *Refusal { return refuse(kerr.InvalidRequest, "%s", what) }
	switch {
	case strings.TrimSpace(in.MemberID) == "":
		return invalid("MemberId can't be empty.")
	case len(in.MemberID) > maxShareMemberID:
		return invalid("MemberId can't be longer than 36 characters.")
	case in.RackID != nil && strings.TrimSpace(*in.RackID) == "":
		return invalid("RackId can't be empty.")
	case in.Epoch < leaveEpoch:
		return invalid("MemberEpoch is invalid.")
	case in.Epoch == joinEpoch && len(in.Topics) == 0:
		return invalid("SubscribedTopicNames must be set in first request.")
	case g.deleting || g.state == Dead:
		return refuse(kerr.CoordinatorNotAvailable, "the group is being deleted")
	}
	return nil
}

// subscribeShare takes over what a heartbeat says, and tells whether the subscription changed.
func (g *Group) subscribeShare(in ShareHeartbeat, member *modernMember) (changed bool) {
	sub := Subscription{RebalanceTimeout: -1}
	var before *Subscription
	if member != nil {
		before = member.sub
		sub = *before
	}
	if in.RackID != nil {
		sub.Rack = *in.RackID
	}
	if in.Topics != nil {
		sub.Topics = slices.Clone(in.Topics)
		slices.Sort(sub.Topics)
		sub.Topics = slices.Compact(sub.Topics)
	}
	sub.ClientID, sub.ClientHost = in.ClientID, in.ClientHost
	g.updateMember(in.MemberID, before, &sub)
	return before == nil || !sameTopics(before, &sub)
}

// uninitialized lists the partitions that the members read and that have no state yet.
func (g *Group) uninitialized() (missing []Partition) {
	for _, name := range slices.Sorted(maps.Keys(g.modern.subscribed())) {
		id, n, ok := g.cluster.Topic(name)
		if !ok {
			continue
		}
		for i := range n {
			if p := (Partition{Topic: id, Index: i}); !g.modern.initialized[p] {
				missing = append(missing, p)
			}
		}
	}
	return missing
}

// initialize sees to it that all that is read has a state. If some has not, it asks for
// that and puts the heartbeat off. What was asked for and is done is written with the rest.
func (g *Group) initialize(in ShareHeartbeat, changed bool) (later bool) {
	m := g.modern
	if !changed && m.seen == g.cluster.Version() {
		return false
	}
	missing := g.uninitialized()
	if len(missing) == 0 {
		return false
	}
	if !slices.ContainsFunc(missing, func(p Partition) bool { return !g.ready[p] }) {
		g.emitInitialized(missing)
		g.ready = nil
		return false
	}
	g.rollBack()
	g.busy = true
	g.afterInit = func(err *kerr.Error) {
		if err != nil {
			g.reply(in.Ref, ShareHeartbeatReply{Err: &Refusal{Error: err}})
			return
		}
		g.ready = make(map[Partition]bool, len(missing))
		for _, p := range missing {
			g.ready[p] = true
		}
		g.handle(in)
	}
	g.out = append(g.out, InitShare{missing})
	return true
}

func (g *Group) onShareInitialized(in ShareInitialized) {
	after := g.afterInit
	if after == nil {
		return
	}
	g.afterInit, g.busy = nil, false
	after(in.Err)
	g.unpark()
}

// emitInitialized notes that partitions have a state.
func (g *Group) emitInitialized(more []Partition) {
	all := maps.Clone(g.modern.initialized)
	if all == nil {
		all = map[Partition]bool{}
	}
	for _, p := range more {
		all[p] = true
	}
	g.emit(StateRecord{g.stateOf(all)})
}

// stateOf lists partitions with the names of their topics.
func (g *Group) stateOf(all map[Partition]bool) *ShareState {
	s := &ShareState{}
	held := Held{}
	for p := range all {
		held[p] = 0
	}
	for _, t := range ByTopic(held.Sorted()) {
		name := g.cluster.TopicName(t.Topic)
		if name == "" {
			name = g.modern.names[t.Topic]
		}
		s.Topics = append(s.Topics, ShareTopic{TopicPartitions: t, Name: name})
	}
	return s
}

func (g *Group) shareLeave(in ShareHeartbeat) {
	switch {
	case g.kind != Share:
		text := "Group %s is not a share group."
		if !g.known {
			text = "Group %s not found."
		}
		g.refuseHeartbeat(in.Ref, refuse(kerr.GroupIDNotFound, text, g.id))
		return
	case g.modern.member(in.MemberID) == nil:
		g.refuseHeartbeat(in.Ref, refuse(kerr.UnknownMemberID, "Member %s is not a member of group %s.", in.MemberID, g.id))
		return
	}
	g.removeMembers("left", in.MemberID)
	g.commit(func(err *kerr.Error) {
		r := ShareHeartbeatReply{MemberID: in.MemberID, Epoch: in.Epoch}
		if err != nil {
			r = ShareHeartbeatReply{Err: &Refusal{Error: err}}
		}
		g.reply(in.Ref, r)
	})
}
