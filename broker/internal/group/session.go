package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

func (g *Group) onHeartbeat(in Heartbeat) *kerr.Error {
	if g.deleting || g.state == Dead {
		return kerr.CoordinatorNotAvailable
	}
	if err := g.check(in.MemberID, in.InstanceID); err != nil {
		return err
	}
	if in.Generation != g.generation {
		return kerr.IllegalGeneration
	}
	g.keepAlive(g.byID[in.MemberID])
	if g.state == PreparingRebalance {
		return kerr.RebalanceInProgress
	}
	return nil
}

func (g *Group) onLeave(in Leave) {
	if g.deleting || g.state == Dead {
		g.reply(in.Ref, LeaveReply{Err: kerr.CoordinatorNotAvailable})
		return
	}
	r := LeaveReply{Members: make([]*kerr.Error, len(in.Members))}
	left := 0
	for i, l := range in.Members {
		if r.Members[i] = g.leave(l); r.Members[i] == nil {
			left++
		}
	}
	if left > 0 {
		if g.state == Stable || g.state == CompletingRebalance {
			g.rebalance("members left")
		} else {
			g.maybeCompleteJoin()
		}
	}
	// If the group is empty now, that is durable before they are told.
	g.afterWrites(func(*kerr.Error) { g.reply(in.Ref, r) })
}

func (g *Group) leave(l Leaving) *kerr.Error {
	id := l.MemberID
	if id == "" { // an administrator removes a static member
		m := g.static[l.InstanceID]
		if l.InstanceID == "" || m == nil {
			return kerr.UnknownMemberID
		}
		id = m.id
	} else if _, ok := g.pending[id]; !ok {
		if err := g.check(id, l.InstanceID); err != nil {
			return err
		}
	}
	g.remove(id, because("left", l.Reason))
	return nil
}

// arm returns the time d from now and makes sure that Deadline is not after it.
func (g *Group) arm(d time.Duration) time.Time {
	at := g.now.Add(d)
	if g.next.IsZero() || at.Before(g.next) {
		g.next = at
	}
	return at
}

// onTick fires the timers that are due, the eldest first.
func (g *Group) onTick() {
	if g.modern != nil || g.busy {
		g.tickModern()
		return
	}
	for {
		at, fire := g.eldestTimer()
		if fire == nil || at.After(g.now) {
			g.next = at
			return
		}
		fire()
	}
}

// eldestTimer finds the timer that is due first, and what it does. Of equals, the
// join phase goes before members, in the order they came.
func (g *Group) eldestTimer() (at time.Time, fire func()) {
	consider := func(t time.Time, f func()) {
		if !t.IsZero() && (fire == nil || t.Before(at)) {
			at, fire = t, f
		}
	}
	consider(g.joinTimer.at, g.onJoinTimer)
	consider(g.syncTimer, g.onSyncTimer)
	for _, m := range g.members {
		if !m.deadline.IsZero() && (fire == nil || m.deadline.Before(at)) {
			at, fire = m.deadline, func() { g.expire(m) }
		}
	}
	lapsing := ""
	for id, t := range g.pending { // no order among equals is needed: they lapse alike
		if fire == nil || t.Before(at) || lapsing != "" && t.Equal(at) && id < lapsing {
			lapsing = id
			at, fire = t, func() { g.lapse(id) }
		}
	}
	return at, fire
}

// expire ends a session. A member with a parked request is kept, and its session
// starts again when that is answered; but a new one, whose client may have given up
// its join, is not.
func (g *Group) expire(m *member) {
	m.deadline = time.Time{}
	if m.heard() {
		return
	}
	g.remove(m.id, "session timed out")
	if g.state == PreparingRebalance {
		if g.allJoined() {
			g.completeJoin()
		}
		return
	}
	g.rebalance("session of " + m.id + " timed out")
}

// lapse forgets a member id that was given out and did not come back.
func (g *Group) lapse(id string) {
	delete(g.pending, id)
	if g.state == PreparingRebalance && g.allJoined() {
		g.completeJoin()
	}
}
