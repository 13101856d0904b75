package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// rebalance starts one, or lets the one that has started go on.
func (g *Group) rebalance(reason string) {
	if g.state.canRebalance() {
		g.prepareRebalance(reason)
		return
	}
	g.maybeCompleteJoin()
}

// prepareRebalance asks all members to join again: by the answer to their next
// heartbeat, or to the sync that they have parked.
func (g *Group) prepareRebalance(reason string) {
	if g.state == CompletingRebalance {
		g.dropAssignment(kerr.RebalanceInProgress)
	}
	g.stopSyncTimer()
	initial := g.state == Empty
	g.become(PreparingRebalance)
	g.event(Event{Kind: RebalanceStarted, Reason: reason})
	switch {
	case initial && g.cfg.InitialRebalanceDelay > 0:
		delay := g.cfg.InitialRebalanceDelay
		g.joinTimer = joinTimer{
			at: g.arm(delay), initial: true, delay: delay, remaining: max(g.rebalanceTimeout()-delay, 0),
		}
	case initial || g.allJoined():
		g.completeJoin()
	default:
		g.joinTimer = joinTimer{at: g.arm(g.rebalanceTimeout())}
	}
}

// maybeCompleteJoin ends the joining phase if all have joined. The first one of a
// group waits its time in any case.
func (g *Group) maybeCompleteJoin() {
	if g.state == PreparingRebalance && !g.joinTimer.initial && g.allJoined() {
		g.completeJoin()
	}
}

// onJoinTimer ends the joining phase, or its wait for more members goes on because
// some came.
func (g *Group) onJoinTimer() {
	t := &g.joinTimer
	if t.initial && t.newMember && t.remaining > 0 {
		delay := min(g.cfg.InitialRebalanceDelay, t.remaining)
		*t = joinTimer{at: g.arm(delay), initial: true, delay: delay, remaining: max(t.remaining-t.delay, 0)}
		return
	}
	g.completeJoin()
}

// completeJoin forms the next generation of those who have joined, and of static
// members, who may be restarting.
func (g *Group) completeJoin() {
	g.joinTimer = joinTimer{}
	for _, m := range append([]*member(nil), g.members...) {
		if m.join == 0 && m.instance == "" {
			g.remove(m.id, "did not join in time")
		}
	}
	if len(g.members) > 0 && !g.electJoined() {
		// Only static members, none of which has joined: their sessions will end.
		g.joinTimer = joinTimer{at: g.arm(max(g.rebalanceTimeout(), time.Second))}
		return
	}
	g.generation++
	g.assigning = false
	if len(g.members) == 0 {
		g.protocol = nil
		g.subscribed = g.subscriptions()
		g.become(Empty)
		g.event(Event{Kind: GroupEmpty})
		// If this is lost, the last generation comes back at the next start and times out.
		g.persist([]Record{g.metadata(nil)}, func(*kerr.Error) {})
		return
	}
	name := g.vote()
	g.protocol = &name
	g.subscribed = g.subscriptions()
	g.become(CompletingRebalance)
	g.event(Event{Kind: GenerationFormed, Count: len(g.members)})
	for _, m := range g.members {
		g.answerJoin(m, g.joined(m))
		g.keepAlive(m)
		m.fresh = false
		m.pendingSync = true
	}
	g.syncTimer = g.arm(g.rebalanceTimeout())
}

// electJoined makes sure that the leader is one who has joined.
func (g *Group) electJoined() bool {
	if m := g.byID[g.leader]; m != nil && m.join != 0 {
		return true
	}
	for _, m := range g.members {
		if m.join != 0 {
			g.leader = m.id
			return true
		}
	}
	return false
}

// rebalanceTimeout is the longest that any member asks for.
func (g *Group) rebalanceTimeout() (longest time.Duration) {
	for _, m := range g.members {
		longest = max(longest, m.rebalanceTimeout)
	}
	return longest
}
