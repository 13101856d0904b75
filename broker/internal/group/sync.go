package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

func (g *Group) onSync(in Sync) {
	if err := g.checkSync(in); err != nil {
		g.reply(in.Ref, SyncReply{Err: err})
		return
	}
	m := g.byID[in.MemberID]
	switch g.state {
	case PreparingRebalance:
		g.reply(in.Ref, SyncReply{Err: kerr.RebalanceInProgress})
	case CompletingRebalance:
		m.sync = in.Ref
		g.synced(m)
		if m.id == g.leader && !g.assigning {
			g.assign(in.Assignments)
		}
	case Stable:
		g.synced(m)
		g.reply(in.Ref, g.assigned(m))
	default:
		g.reply(in.Ref, SyncReply{Err: kerr.UnknownMemberID})
	}
}

func (g *Group) checkSync(in Sync) *kerr.Error {
	if g.deleting || g.state == Dead {
		return kerr.CoordinatorNotAvailable
	}
	if err := g.check(in.MemberID, in.InstanceID); err != nil {
		return err
	}
	switch {
	case in.Generation != g.generation:
		return kerr.IllegalGeneration
	case in.ProtocolType != nil && *in.ProtocolType != g.protocolType,
		in.Protocol != nil && g.protocol != nil && *in.Protocol != *g.protocol:
		return kerr.InconsistentGroupProtocol
	}
	return nil
}

// assign writes the leader's assignment, and hands it out when it is durable, unless
// a new rebalance has begun by then.
func (g *Group) assign(assignments []Assignment) {
	given := make(map[string][]byte, len(assignments))
	for _, a := range assignments {
		given[a.MemberID] = a.Data
	}
	generation := g.generation
	g.assigning = true
	g.persist([]Record{g.metadata(given)}, func(err *kerr.Error) {
		if g.state != CompletingRebalance || g.generation != generation {
			return
		}
		g.assigning = false
		if err != nil {
			g.dropAssignment(err)
			g.rebalance("the assignment could not be written")
			return
		}
		for _, m := range g.members {
			m.assignment = given[m.id]
		}
		g.become(Stable)
		g.event(Event{Kind: GroupStable, Count: len(g.members)})
		for _, m := range g.members {
			if g.answerSync(m, g.assigned(m)) {
				g.keepAlive(m)
			}
		}
	})
}

func (g *Group) assigned(m *member) SyncReply {
	return SyncReply{ProtocolType: g.typeNow(), Protocol: g.protocol, Assignment: m.assignment}
}

// dropAssignment forgets what was assigned, and answers the parked syncs with an error.
func (g *Group) dropAssignment(err *kerr.Error) {
	for _, m := range g.members {
		m.assignment = nil
		if g.answerSync(m, SyncReply{Err: err}) {
			g.keepAlive(m)
		}
	}
}

// synced notes that a member has asked for its assignment.
func (g *Group) synced(m *member) {
	m.pendingSync = false
	for _, o := range g.members {
		if o.pendingSync {
			return
		}
	}
	g.syncTimer = time.Time{}
}

func (g *Group) stopSyncTimer() {
	g.syncTimer = time.Time{}
	for _, m := range g.members {
		m.pendingSync = false
	}
}

// onSyncTimer drops the members that joined and then never asked for their assignment.
func (g *Group) onSyncTimer() {
	g.syncTimer = time.Time{}
	var late []*member
	for _, m := range g.members {
		if m.pendingSync {
			late = append(late, m)
		}
	}
	for _, m := range late {
		g.remove(m.id, "did not sync in time")
	}
	if len(late) > 0 {
		g.prepareRebalance("members did not sync in time")
	}
}
