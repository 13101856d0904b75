package group

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Classic requests to a consumer group, so that its members can be changed over one by
// one. A member's epoch is its generation. It learns from its heartbeat that it has to
// join again, gives up in its join what it does not own any more, and gets by its sync
// what it has.

// consumerJoin handles a JoinGroup request to a consumer group with members.
func (g *Group) consumerJoin(in Join) {
	m := g.modern
	switch {
	case in.SessionTimeout < g.cfg.MinSessionTimeout || in.SessionTimeout > g.cfg.MaxSessionTimeout:
		g.refuseJoin(in, in.MemberID, kerr.InvalidSessionTimeout)
		return
	case g.deleting || g.state == Dead:
		g.refuseJoin(in, in.MemberID, kerr.CoordinatorNotAvailable)
		return
	case len(m.members) >= g.cfg.ConsumerMaxSize && m.member(in.MemberID) == nil:
		g.refuseJoin(in, "", kerr.GroupMaxSizeReached)
		return
	case g.cfg.Migration == MigrateNone, !g.suitsModern(in):
		g.refuseJoin(in, in.MemberID, kerr.InconsistentGroupProtocol)
		return
	case in.MemberID == "" && in.InstanceID == "" && in.RequireMemberID:
		g.refuseJoin(in, in.NewMemberID, kerr.MemberIDRequired)
		return
	}
	sub, owned, err := g.readSubscription(in.Protocols[0].Metadata)
	if err != nil {
		g.refuseJoin(in, in.MemberID, kerr.InconsistentGroupProtocol)
		return
	}
	id, unknown := in.MemberID, in.MemberID == ""
	if unknown {
		id = in.NewMemberID
	}
	var instance *string
	if in.InstanceID != "" {
		instance = &in.InstanceID
	}
	replacing := instance != nil && unknown && m.static[*instance] != ""
	before, refusal := g.consumerMember(id, instance, -1, nil, instance == nil || unknown, true)
	if refusal != nil {
		g.rollBack()
		g.refuseJoin(in, in.MemberID, refusal.Error)
		return
	}
	sub.Instance, sub.ClientID, sub.ClientHost, sub.RebalanceTimeout = in.InstanceID, in.ClientID, in.ClientHost, in.RebalanceTimeout
	sub.Classic = &ClassicMember{in.SessionTimeout, in.Protocols}
	g.updateMember(id, before, sub)
	member := m.member(id)
	changed := before == nil || !sameTopics(before, sub) || before.Regex != ""
	g.refresh(changed)
	g.retarget()
	g.reconcile(member, owned, changed && before != nil)
	generation, classic := member.cur.Epoch, false
	if replacing {
		// It may have taken the place of the last member of the new kind.
		if classic = g.downgradeWithout("", nil); classic {
			generation = g.generation
			if !changed {
				g.rejoinAll = ""
			}
		}
	}
	g.commit(func(err *kerr.Error) {
		if err != nil {
			g.rejoinAll = ""
			g.refuseJoin(in, in.MemberID, err)
			return
		}
		if !classic {
			g.modernAlive(member)
			member.rejoin = time.Time{}
			member.sync = g.arm(in.RebalanceTimeout)
		}
		name := in.Protocols[0].Name
		if classic && g.protocol != nil {
			name = *g.protocol
		}
		protocolType := consumerProtocol
		g.reply(in.Ref, JoinReply{MemberID: id, Generation: generation, ProtocolType: &protocolType, Protocol: &name})
		g.afterRemoval()
	})
}

// suitsModern tells whether a classic member fits: a consumer, with a protocol that all
// classic members here offer.
func (g *Group) suitsModern(in Join) bool {
	if in.ProtocolType != consumerProtocol || len(in.Protocols) == 0 {
		return false
	}
	offered, classic := map[string]int{}, 0
	for _, member := range g.modern.members {
		if c := member.sub.Classic; c != nil {
			classic++
			for _, p := range c.Protocols {
				offered[p.Name]++
			}
		}
	}
	return slices.ContainsFunc(in.Protocols, func(p Protocol) bool { return offered[p.Name] == classic })
}

// classicMember finds the member that a classic request comes from.
func (g *Group) classicMember(id, instance string) (*modernMember, *kerr.Error) {
	member, err := g.namedMember(id, instance)
	if err == nil && member.sub.Classic == nil {
		return nil, kerr.UnknownMemberID
	}
	return member, err
}

// namedMember finds a member of either kind.
func (g *Group) namedMember(id, instance string) (*modernMember, *kerr.Error) {
	m := g.modern
	member := m.member(id)
	if instance != "" {
		member = m.member(m.static[instance])
	}
	switch {
	case member == nil:
		return nil, kerr.UnknownMemberID
	case member.id != id:
		return nil, kerr.FencedInstanceID
	}
	return member, nil
}

// mustRejoin starts the time that a classic member has for joining again.
func (g *Group) mustRejoin(m *modernMember) {
	if m.rejoin.IsZero() {
		m.rejoin = g.arm(m.sub.RebalanceTimeout)
	}
}

func (g *Group) consumerSync(in Sync) {
	if g.deleting || g.state == Dead {
		g.reply(in.Ref, SyncReply{Err: kerr.CoordinatorNotAvailable})
		return
	}
	member, err := g.classicMember(in.MemberID, in.InstanceID)
	if err != nil {
		g.reply(in.Ref, SyncReply{Err: err})
		return
	}
	protocolType, protocol := consumerProtocol, member.sub.Classic.Protocols[0].Name
	switch {
	case in.Generation != member.cur.Epoch:
		err = kerr.IllegalGeneration
	case in.ProtocolType != nil && *in.ProtocolType != protocolType, in.Protocol != nil && *in.Protocol != protocol:
		err = kerr.InconsistentGroupProtocol
	case g.modern.epoch > member.cur.Epoch && member.cur.State != MemberRevoking:
		g.mustRejoin(member)
		err = kerr.RebalanceInProgress
	}
	if err != nil {
		g.reply(in.Ref, SyncReply{Err: err})
		return
	}
	member.sync = time.Time{}
	g.modernAlive(member)
	g.reply(in.Ref, SyncReply{
		ProtocolType: &protocolType, Protocol: &protocol, Assignment: g.writeAssignment(member.sub, member.cur.Assigned.Sorted()),
	})
}

func (g *Group) consumerHeartbeat(in Heartbeat) *kerr.Error {
	if g.deleting || g.state == Dead {
		return kerr.CoordinatorNotAvailable
	}
	member, err := g.classicMember(in.MemberID, in.InstanceID)
	if err != nil {
		return err
	}
	if in.Generation != member.cur.Epoch {
		return kerr.IllegalGeneration
	}
	g.modernAlive(member)
	g.modern.seenBy(g)
	cur := member.cur
	if cur.Epoch < g.modern.epoch || cur.State == MemberRevoking || cur.State == MemberWaiting && !g.stillTaken(member) {
		g.mustRejoin(member)
		return kerr.RebalanceInProgress
	}
	return nil
}

// seenBy looks, at the heartbeat of a classic member, whether the topics have changed:
// there may be no member of the other kind whose heartbeat would.
func (m *modern) seenBy(g *Group) {
	if m.seen != g.cluster.Version() {
		g.refresh(false)
		g.commit(func(*kerr.Error) {})
	}
}

// stillTaken tells whether any partition that a member waits for is with another one.
func (g *Group) stillTaken(member *modernMember) bool {
	return slices.ContainsFunc(g.modern.targets[member.id], func(p Partition) bool {
		owner, taken := g.modern.owners[p]
		return taken && owner != member.id
	})
}

// consumerLeaveGroup handles a LeaveGroup request. Administrators remove members of the new
// kind by it too.
func (g *Group) consumerLeaveGroup(in Leave) {
	if g.deleting || g.state == Dead {
		g.reply(in.Ref, LeaveReply{Err: kerr.CoordinatorNotAvailable})
		return
	}
	r := LeaveReply{Members: make([]*kerr.Error, len(in.Members))}
	var gone []string
	for i, l := range in.Members {
		id := l.MemberID
		if id == "" && l.InstanceID != "" { // an administrator removes a static member
			id = g.modern.static[l.InstanceID]
		}
		member, err := g.namedMember(id, l.InstanceID)
		switch {
		case err != nil:
			r.Members[i] = err
		case slices.Contains(gone, member.id):
			r.Members[i] = kerr.UnknownMemberID
		default:
			gone = append(gone, member.id)
		}
	}
	if len(gone) > 0 {
		g.removeMembers("left", gone...)
	}
	g.commit(func(err *kerr.Error) {
		if err != nil {
			r = LeaveReply{Err: err}
		}
		g.reply(in.Ref, r)
		g.afterRemoval()
	})
}
