package group

import "encoding/binary"

// consumerProtocol is the protocol type of consumers, whose subscriptions we can read.
const consumerProtocol = "consumer"

// typeNow returns the protocol type for an answer, which outlives this step.
func (g *Group) typeNow() *string {
	t := g.protocolType
	return &t
}

func (g *Group) countProtocols(m *member, by int) {
	for _, p := range m.protocols {
		if g.offered[p.Name] += by; g.offered[p.Name] == 0 {
			delete(g.offered, p.Name)
		}
	}
}

// suits tells whether a join fits the group: same protocol type as the others, and a
// protocol that all the others offer too.
func (g *Group) suits(protocolType string, protocols []Protocol) bool {
	if g.state == Empty {
		return protocolType != "" && len(protocols) > 0
	}
	if g.protocolType != protocolType {
		return false
	}
	for _, p := range protocols {
		if g.offered[p.Name] == len(g.members) {
			return true
		}
	}
	return false
}

// vote chooses the protocol of the next generation: each member votes for the first
// it offers among those that all offer. Of equals, the one that got its first vote
// from the eldest member.
func (g *Group) vote() string {
	votes := map[string]int{}
	best := ""
	for _, m := range g.members {
		for _, p := range m.protocols {
			if g.offered[p.Name] == len(g.members) {
				votes[p.Name]++
				break
			}
		}
	}
	for _, m := range g.members {
		for _, p := range m.protocols {
			if votes[p.Name] > votes[best] {
				best = p.Name
			}
		}
	}
	return best
}

// subscriptions collects the topics that the members read; nil if not known.
func (g *Group) subscriptions() map[string]bool {
	if g.protocolType != consumerProtocol {
		return nil
	}
	topics := map[string]bool{}
	for _, m := range g.members {
		if g.protocol == nil || !subscription(m.metadata(*g.protocol), topics) {
			return nil
		}
	}
	return topics
}

// subscription reads the topics off a consumer's subscription. All versions begin as
// version 0 does, which is enough for us:
//
//	+-----------+--------------+------------------------------+----
//	| version 2 | topics count 4 | topic: length 2, bytes ... | ...
//	+-----------+--------------+------------------------------+----
func subscription(b []byte, topics map[string]bool) bool {
	if len(b) < 6 {
		return false
	}
	count := int32(binary.BigEndian.Uint32(b[2:]))
	b = b[6:]
	for range count {
		if len(b) < 2 {
			return false
		}
		n := int(int16(binary.BigEndian.Uint16(b)))
		if n < 0 || len(b) < 2+n {
			return false
		}
		topics[string(b[2:2+n])] = true
		b = b[2+n:]
	}
	return true
}

// reads tells whether the members read a topic. Consumers whose subscription we
// cannot read may read any.
func (g *Group) reads(topic string) bool {
	if g.modern != nil {
		return g.modern.subscribed()[topic]
	}
	if g.subscribed == nil {
		return g.protocolType == consumerProtocol
	}
	return g.subscribed[topic]
}
