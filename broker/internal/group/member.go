package group

import (
	"bytes"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// member is one consumer in the group.
type member struct {
	id, instance     string // instance: empty for a dynamic member
	clientID, host   string
	session          time.Duration
	rebalanceTimeout time.Duration
	protocols        []Protocol
	assignment       []byte

	// deadline ends the session unless the member is heard of; zero: not running. It
	// runs out without effect while a join or sync is parked, and starts again when
	// that is answered.
	deadline time.Time
	// fresh: has not been in a generation yet. Its parked join may time out.
	fresh       bool
	join        Ref  // the parked join, 0 if none
	sync        Ref  // the parked sync, 0 if none
	pendingSync bool // of this generation, and has not sent its sync yet
}

// heard tells whether a member whose session has run out is to be kept all the same.
func (m *member) heard() bool {
	return !m.fresh && (m.join != 0 || m.sync != 0)
}

// metadata returns what the member says under a protocol.
func (m *member) metadata(protocol string) []byte {
	for _, p := range m.protocols {
		if p.Name == protocol {
			return p.Metadata
		}
	}
	return nil
}

// offersSame tells whether a join brings nothing new.
func (m *member) offersSame(protocols []Protocol) bool {
	if len(m.protocols) != len(protocols) {
		return false
	}
	for i, p := range protocols {
		if m.protocols[i].Name != p.Name || !bytes.Equal(m.protocols[i].Metadata, p.Metadata) {
			return false
		}
	}
	return true
}

// add takes a member in and makes the first one leader. An empty group takes its
// protocol type from it.
func (g *Group) add(m *member, protocolType string) {
	if len(g.members) == 0 {
		g.protocolType = protocolType
	}
	if g.leader == "" {
		g.leader = m.id
	}
	if m.instance != "" {
		g.static[m.instance] = m
	}
	g.members = append(g.members, m)
	g.byID[m.id] = m
	g.countProtocols(m, 1)
	delete(g.pending, m.id)
	g.known = true
	g.event(Event{Kind: MemberAdded, Member: m.id})
}

// remove drops a member, or a pending one. What it has parked is answered with
// UNKNOWN_MEMBER_ID, so that a client that is still there joins anew. Another member
// becomes the leader if it led.
func (g *Group) remove(id, reason string) {
	delete(g.pending, id)
	m := g.byID[id]
	if m == nil {
		return
	}
	g.answerJoin(m, JoinReply{Err: kerr.UnknownMemberID, Generation: -1})
	g.answerSync(m, SyncReply{Err: kerr.UnknownMemberID})
	g.countProtocols(m, -1)
	delete(g.byID, id)
	if m.instance != "" {
		delete(g.static, m.instance)
	}
	g.members = slices.DeleteFunc(g.members, func(o *member) bool { return o == m })
	if g.leader == id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
	g.event(Event{Kind: MemberRemoved, Member: id, Reason: reason})
}

// replace gives a restarted static member its new id in the place of the old one:
// same rank, same assignment, leader if it led. Whoever still uses the old id is
// fenced (KIP-345).
func (g *Group) replace(old *member, newID string) *member {
	g.answerJoin(old, JoinReply{Err: kerr.FencedInstanceID, MemberID: old.id, Generation: -1})
	g.answerSync(old, SyncReply{Err: kerr.FencedInstanceID})
	m := *old
	m.id, m.fresh, m.pendingSync = newID, false, false
	delete(g.byID, old.id)
	g.byID[newID] = &m
	g.static[m.instance] = &m
	g.members[slices.Index(g.members, old)] = &m
	if g.leader == old.id {
		g.leader = newID
	}
	return &m
}

// check tells whether a request comes from a member: UNKNOWN_MEMBER_ID if not,
// FENCED_INSTANCE_ID if another process has taken over its instance id.
func (g *Group) check(memberID, instanceID string) *kerr.Error {
	if instanceID != "" {
		switch m := g.static[instanceID]; {
		case m == nil:
			return kerr.UnknownMemberID
		case m.id != memberID:
			return kerr.FencedInstanceID
		}
	}
	if g.byID[memberID] == nil {
		return kerr.UnknownMemberID
	}
	return nil
}

// keepAlive starts the member's session anew.
func (g *Group) keepAlive(m *member) {
	m.deadline = g.arm(m.session)
}

func (g *Group) answerJoin(m *member, r JoinReply) {
	if m.join != 0 {
		g.reply(m.join, r)
		m.join = 0
	}
}

func (g *Group) answerSync(m *member, r SyncReply) bool {
	if m.sync == 0 {
		return false
	}
	g.reply(m.sync, r)
	m.sync = 0
	return true
}

// parked counts the members whose join is parked: they are there for the next generation.
func (g *Group) parked() (n int) {
	for _, m := range g.members {
		if m.join != 0 {
			n++
		}
	}
	return n
}

// allJoined tells whether nobody has to be waited for.
func (g *Group) allJoined() bool {
	return g.parked() == len(g.members) && len(g.pending) == 0
}
