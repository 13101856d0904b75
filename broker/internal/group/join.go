package group

import "github.com/twmb/franz-go/pkg/kerr"

func (g *Group) refuseJoin(in Join, memberID string, err *kerr.Error) {
	g.reply(in.Ref, JoinReply{Err: err, MemberID: memberID, Generation: -1})
}

func (g *Group) onJoin(in Join) {
	switch {
	case in.SessionTimeout < g.cfg.MinSessionTimeout || in.SessionTimeout > g.cfg.MaxSessionTimeout:
		g.refuseJoin(in, in.MemberID, kerr.InvalidSessionTimeout)
	case g.deleting || g.state == Dead:
		g.refuseJoin(in, in.MemberID, kerr.CoordinatorNotAvailable)
	case !g.hasRoom(in.MemberID):
		g.remove(in.MemberID, "the group is full")
		g.refuseJoin(in, "", kerr.GroupMaxSizeReached)
		g.maybeCompleteJoin()
	case in.MemberID == "":
		g.joinNew(in)
	default:
		g.joinAgain(in)
	}
}

// hasRoom tells whether a join may come in. While joining, those who have joined
// count: so many as there is room for stay when group.max.size was lowered.
func (g *Group) hasRoom(memberID string) bool {
	m := g.byID[memberID]
	switch g.state {
	case PreparingRebalance:
		return m != nil && m.join != 0 || g.parked() < g.cfg.MaxSize
	case CompletingRebalance, Stable:
		return m != nil || len(g.members) < g.cfg.MaxSize
	}
	return true
}

// joinNew handles a join without member id.
func (g *Group) joinNew(in Join) {
	if !g.suits(in.ProtocolType, in.Protocols) {
		g.refuseJoin(in, "", kerr.InconsistentGroupProtocol)
		return
	}
	if in.InstanceID != "" {
		if old := g.static[in.InstanceID]; old != nil {
			g.restartStatic(in, old)
			return
		}
	} else if in.RequireMemberID {
		g.known = true
		g.pending[in.NewMemberID] = g.arm(in.SessionTimeout)
		g.refuseJoin(in, in.NewMemberID, kerr.MemberIDRequired)
		return
	}
	g.joinAdd(in, in.NewMemberID)
}

// joinAdd takes a new member in, parks its join and rebalances.
func (g *Group) joinAdd(in Join, id string) {
	m := &member{
		id: id, instance: in.InstanceID, clientID: in.ClientID, host: in.ClientHost,
		session: in.SessionTimeout, rebalanceTimeout: in.RebalanceTimeout, protocols: in.Protocols,
		fresh: true, join: in.Ref,
	}
	if g.joinTimer.initial {
		g.joinTimer.newMember = true
	}
	g.add(m, in.ProtocolType)
	m.deadline = g.arm(g.cfg.NewMemberJoinTimeout)
	g.rebalance(because("member "+id+" joins", in.Reason))
}

// joinAgain handles a join with a member id.
func (g *Group) joinAgain(in Join) {
	if !g.suits(in.ProtocolType, in.Protocols) {
		g.refuseJoin(in, in.MemberID, kerr.InconsistentGroupProtocol)
		return
	}
	if _, ok := g.pending[in.MemberID]; ok {
		if in.InstanceID != "" { // only dynamic members are given an id in advance
			g.refuseJoin(in, in.MemberID, kerr.UnknownServerError)
			return
		}
		g.joinAdd(in, in.MemberID)
		return
	}
	if err := g.check(in.MemberID, in.InstanceID); err != nil {
		g.refuseJoin(in, in.MemberID, err)
		return
	}
	m := g.byID[in.MemberID]
	switch g.state {
	case PreparingRebalance:
		g.update(m, in)
		g.rebalance(because("member "+m.id+" joins again", in.Reason))
	case CompletingRebalance:
		// It may have missed the answer. If it brings nothing new, it gets it once more.
		if m.offersSame(in.Protocols) {
			r := g.joined(m)
			g.reply(in.Ref, r)
			return
		}
		g.update(m, in)
		g.rebalance(because("member "+m.id+" changes its subscription", in.Reason))
	case Stable:
		// The leader joins again when it sees a change, of partitions say, that the
		// others do not see: that is how it asks for a rebalance.
		switch {
		case m.id == g.leader:
			g.update(m, in)
			g.rebalance(because("leader "+m.id+" joins again", in.Reason))
		case !m.offersSame(in.Protocols):
			g.update(m, in)
			g.rebalance(because("member "+m.id+" changes its subscription", in.Reason))
		default:
			g.reply(in.Ref, g.joined(m))
		}
	default:
		g.refuseJoin(in, in.MemberID, kerr.UnknownMemberID)
	}
}

// restartStatic handles the join of a static member that has started anew (KIP-345).
// Unless the protocol changes it steps into its old place and nobody else notices.
func (g *Group) restartStatic(in Join, old *member) {
	if g.state == Empty {
		g.refuseJoin(in, "", kerr.UnknownServerError)
		return
	}
	formerLeader := g.leader
	m := g.replace(old, in.NewMemberID)
	g.update(m, in)
	g.keepAlive(m)
	switch g.state {
	case Stable:
		if g.protocol != nil && g.vote() == *g.protocol {
			g.keepPlace(in, m, old, formerLeader)
			return
		}
		g.rebalance(because("static member "+in.InstanceID+" changes the protocol", in.Reason))
	case CompletingRebalance:
		// The leader may be assigning to the old id at this moment.
		g.rebalance(because("static member "+in.InstanceID+" starts anew", in.Reason))
	default:
		g.maybeCompleteJoin()
	}
}

// keepPlace answers a restarted static member once its new id is durable. An old
// client (before KIP-814) that led is told that its former self leads: it would
// otherwise assign again, and nobody waits for that.
func (g *Group) keepPlace(in Join, m, old *member, formerLeader string) {
	generation := g.generation
	g.persist([]Record{g.metadata(nil)}, func(err *kerr.Error) {
		if m.join != in.Ref || g.state != Stable || g.generation != generation {
			return // gone, or a rebalance has begun, whose end will answer it
		}
		if err != nil {
			back := *old
			m.join = 0
			g.countProtocols(m, -1)
			m = g.replace(m, back.id)
			m.protocols, m.session, m.rebalanceTimeout, m.join = back.protocols, back.session, back.rebalanceTimeout, 0
			g.countProtocols(m, 1)
			g.keepAlive(m)
			g.refuseJoin(in, "", err)
			return
		}
		r := g.joined(m)
		if in.CanSkipAssignment {
			r.SkipAssignment = m.id == g.leader
		} else {
			r.Members, r.LeaderID = nil, formerLeader
		}
		g.answerJoin(m, r)
	})
}

// update takes over what a member says in its join, and parks that.
func (g *Group) update(m *member, in Join) {
	g.countProtocols(m, -1)
	m.protocols = in.Protocols
	g.countProtocols(m, 1)
	m.session, m.rebalanceTimeout = in.SessionTimeout, in.RebalanceTimeout
	m.join = in.Ref
}

// joined is the answer to a member of the current generation. The leader learns what
// all have to say.
func (g *Group) joined(m *member) JoinReply {
	r := JoinReply{
		MemberID: m.id, Generation: g.generation,
		ProtocolType: g.typeNow(), Protocol: g.protocol, LeaderID: g.leader,
	}
	if m.id == g.leader {
		for _, o := range g.members {
			r.Members = append(r.Members, JoinedMember{o.id, o.instance, o.metadata(*g.protocol)})
		}
	}
	return r
}

func because(what, reason string) string {
	if reason == "" {
		return what
	}
	return what + ": " + reason
}
