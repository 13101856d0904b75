package group

import (
	"slices"
	"time"

	"millrace/broker/internal/assignor"
)

// refresh looks whether the topics that are read have changed, and raises the group
// epoch if so, or if bump asks for it.
func (g *Group) refresh(bump bool) {
	m := g.modern
	if !bump && m.seen == g.cluster.Version() {
		return
	}
	g.resolveAgain()
	hash := m.hashOf(g.cluster)
	if hash != m.hash || bump {
		g.emit(EpochRecord{g.kind, &GroupEpoch{m.epoch + 1, hash}})
		g.event(Event{Kind: RebalanceStarted, Reason: "group epoch raised"})
	}
	seen := m.seen
	m.seen = g.cluster.Version()
	g.undo = append(g.undo, func() { m.seen = seen })
}

// retarget computes the target assignment if the group epoch has moved on, though not
// more often than the assignment interval allows (KIP-1263): then a later heartbeat does.
func (g *Group) retarget() {
	m := g.modern
	if m.epoch <= m.assigned.Epoch {
		return
	}
	interval := g.cluster.Settings(g.id).AssignmentInterval
	if g.kind == Share {
		interval = g.cluster.Settings(g.id).ShareAssignment
	}
	if !m.assigned.At.IsZero() && g.now.Sub(m.assigned.At) < interval {
		return
	}
	ids := m.ids()
	topics, members := g.forAssignor(ids)
	for i, target := range g.assignFunc()(topics, members) {
		if g.kind == Share { // without its state a partition cannot be read
			target = slices.DeleteFunc(target, func(p Partition) bool { return !m.initialized[p] })
		}
		if before, ok := m.targets[ids[i]]; !ok || !slices.Equal(before, target) {
			g.emit(TargetRecord{g.kind, ids[i], &Target{target}})
		}
	}
	g.emit(TargetEpochRecord{g.kind, &TargetEpoch{m.epoch, g.now.Truncate(time.Millisecond)}})
}

// forAssignor lists the topics that exist and the members with what they subscribe to.
func (g *Group) forAssignor(ids []string) ([]assignor.Topic, []assignor.Member) {
	m := g.modern
	var names []string
	for name := range m.subscribed() {
		if _, _, ok := g.cluster.Topic(name); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	topics := make([]assignor.Topic, len(names))
	at := make(map[string]int, len(names))
	for i, name := range names {
		id, n, _ := g.cluster.Topic(name)
		topics[i], at[name] = assignor.Topic{ID: id, Partitions: n}, i
	}
	members := make([]assignor.Member, len(ids))
	for i, id := range ids {
		member := m.members[id]
		members[i] = assignor.Member{ID: id, Instance: member.sub.Instance, Has: m.targets[id]}
		for _, name := range m.topicsOf(member.sub) {
			if t, ok := at[name]; ok {
				members[i].Topics = append(members[i].Topics, t)
			}
		}
	}
	return topics, members
}

// towards computes what a member has after a step from the epoch it is in (or may go to)
// towards its target. owned is what it says that it holds, nil if it says nothing.
func (g *Group) towards(id string, epoch int32, cur *Current, target []Partition, owned []Partition) *Current {
	m := g.modern
	keep, revoke, gain := Held{}, Held{}, Held{}
	waiting := false
	wanted := make(map[Partition]bool, len(target))
	for _, p := range target {
		wanted[p] = true
		since, kept := cur.Assigned[p]
		owner, taken := m.owners[p]
		switch {
		case kept:
			keep[p] = since
		case taken && owner != id:
			waiting = true
		default: // free, or just given back by this member
			gain[p] = m.assigned.Epoch
		}
	}
	for p, since := range cur.Assigned {
		if !wanted[p] {
			revoke[p] = since
		}
	}
	if len(revoke) > 0 && (owned == nil || holdsAny(revoke, owned)) {
		// It stays in its epoch until it has given these back.
		return advance(cur, epoch, MemberRevoking, keep, revoke)
	}
	for p, since := range gain {
		keep[p] = since
	}
	state := MemberStable
	if waiting {
		state = MemberWaiting
	}
	return advance(cur, m.assigned.Epoch, state, keep, nil)
}

func holds(h Held, p Partition) bool { _, ok := h[p]; return ok }

func holdsAny(h Held, ps []Partition) bool {
	return slices.ContainsFunc(ps, func(p Partition) bool { return holds(h, p) })
}

func advance(cur *Current, epoch int32, state MemberState, assigned, revoking Held) *Current {
	next := &Current{Epoch: epoch, Previous: cur.Previous, State: state, Assigned: assigned, Revoking: revoking}
	if epoch != cur.Epoch {
		next.Previous = cur.Epoch
	}
	return next
}
