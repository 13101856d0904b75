package group

import (
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Share groups (KIP-932): the same epochs and target assignment as consumer groups, but a
// partition may have several members, so that nothing has to be given back first. Only what
// has a state is assigned. A heartbeat that finds a partition without one is answered, then
// the caller is asked to make it, by [InitShare]; once it is there, the next heartbeat raises
// the group epoch. So the members that come at once share out what there is from the start.

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
	look := changed || !m.settled || m.seen != g.cluster.Version()
	m.settled = m.settled && !look
	member = m.member(in.MemberID)
	assigned := member.cur
	g.refresh(changed || look && g.unassigned())
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
		if look {
			g.initialize()
		}
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

// initialize asks for the states that are missing, and notes whether all that is read has
// one and a member, so that the next heartbeats need not look.
func (g *Group) initialize() {
	m := g.modern
	missing := g.uninitialized()
	m.settled = len(missing) == 0 && m.epoch == m.assigned.Epoch && !g.unassigned()
	missing = slices.DeleteFunc(missing, func(p Partition) bool { return g.initializing[p] })
	if len(missing) == 0 {
		return
	}
	if g.initializing == nil {
		g.initializing = map[Partition]bool{}
	}
	for _, p := range missing {
		g.initializing[p] = true
	}
	g.out = append(g.out, InitShare{missing})
}

// unassigned tells whether a partition that is read has a state but no member, and no target
// is due that would give it one.
func (g *Group) unassigned() bool {
	m := g.modern
	if m.epoch > m.assigned.Epoch {
		return false
	}
	given := map[Partition]bool{}
	for _, target := range m.targets {
		for _, p := range target {
			given[p] = true
		}
	}
	for name := range m.subscribed() {
		id, n, _ := g.cluster.Topic(name)
		for i := range n {
			if p := (Partition{Topic: id, Index: i}); m.initialized[p] && !given[p] {
				return true
			}
		}
	}
	return false
}

// onShareInitialized notes what has a state now. After an error the next heartbeat asks again.
func (g *Group) onShareInitialized(in ShareInitialized) {
	for _, p := range in.Partitions {
		delete(g.initializing, p)
	}
	defer g.unpark()
	if in.Err != nil || g.kind != Share || g.deleting || g.state == Dead {
		return
	}
	there := slices.DeleteFunc(slices.Clone(in.Partitions), func(p Partition) bool { return g.cluster.TopicName(p.Topic) == "" })
	if len(there) < len(in.Partitions) {
		gone := slices.DeleteFunc(slices.Clone(in.Partitions), func(p Partition) bool { return slices.Contains(there, p) })
		g.out = append(g.out, DropShare{gone})
	}
	if len(there) > 0 {
		g.emitInitialized(there)
		g.commit(func(*kerr.Error) {})
	}
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
