package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// due tells why a member has to go, "" if it may stay.
func (m *modernMember) due(now time.Time) string {
	passed := func(t time.Time) bool { return !t.IsZero() && !t.After(now) }
	switch {
	case passed(m.session):
		return "session timed out"
	case passed(m.rebalance) && m.cur.State == MemberRevoking:
		return "did not give its partitions back in time"
	case passed(m.rejoin):
		return "did not join in time"
	case passed(m.sync):
		return "did not sync in time"
	}
	return ""
}

// tickModern removes the members whose time is over, all in one write.
func (g *Group) tickModern() {
	if g.busy {
		g.tickDue = true
		g.next = time.Time{}
		return
	}
	if g.modern == nil { // has become classic in the meantime
		g.onTick()
		return
	}
	var gone []string
	reason := ""
	for _, id := range g.modern.ids() {
		if why := g.modern.members[id].due(g.now); why != "" {
			gone = append(gone, id)
			reason = why
		}
	}
	if len(gone) > 0 {
		g.removeMembers(reason, gone...)
	}
	g.next = g.earliest()
	g.commit(func(*kerr.Error) { g.afterRemoval() })
}

// earliest is when the next member's time is over; zero: never.
func (g *Group) earliest() (next time.Time) {
	if g.modern == nil {
		next, _ = g.eldestTimer()
		return next
	}
	for _, m := range g.modern.members {
		for _, t := range []time.Time{m.session, m.rebalance, m.rejoin, m.sync} {
			if !t.IsZero() && t.After(g.now) && (next.IsZero() || t.Before(next)) {
				next = t
			}
		}
	}
	return next
}
