package group

import (
	"maps"

	"github.com/twmb/franz-go/pkg/kerr"
)

// What a share group notes of the state of its partitions, which is kept elsewhere: which
// have one. Administrators move the starts of a group without members, or forget them.

// ShareState is the value of a [StateRecord].
type ShareState struct{ Topics []ShareTopic }

// ShareTopic is a topic of which a share group has states.
type ShareTopic struct {
	TopicPartitions
	Name string
}

// StateRecord lists the partitions of which a share group has states.
type StateRecord struct{ *ShareState }

func (StateRecord) record() {}

// InitShare asks for the states of partitions to be made, and for a [ShareInitialized].
type InitShare struct{ Partitions []Partition }

// DropShare tells that the states of partitions are not needed any more.
type DropShare struct{ Partitions []Partition }

func (InitShare) effect() {}
func (DropShare) effect() {}

// ShareInitialized answers [InitShare].
type ShareInitialized struct {
	Partitions []Partition // that were asked for
	Err        *kerr.Error
}

// ShareAdmin asks whether an administrator may change the states of a share group, and,
// when that is done, notes it. It is answered with a [ShareAdminReply].
type ShareAdmin struct {
	Ref    Ref
	Create bool        // a group that does not exist is made
	Add    []Partition // these have a state now
	Remove []Partition // these have none any more
}

// ShareAdminReply answers [ShareAdmin].
type ShareAdminReply struct{ Err *Refusal }

func (ShareInitialized) input() {}
func (ShareAdmin) input()       {}

func (m *modern) applyState(r StateRecord) (undo func()) {
	initialized, names := m.initialized, m.names
	m.initialized, m.names = map[Partition]bool{}, map[TopicID]string{}
	if r.ShareState != nil {
		for _, t := range r.Topics {
			m.names[t.Topic] = t.Name
			for _, p := range t.Partitions {
				m.initialized[Partition{Topic: t.Topic, Index: p}] = true
			}
		}
	}
	return func() { m.initialized, m.names = initialized, names }
}

// states lists the partitions that have a state.
func (m *modern) states() []Partition {
	held := Held{}
	for p := range m.initialized {
		held[p] = 0
	}
	return held.Sorted()
}

func (g *Group) onShareAdmin(in ShareAdmin) {
	err := g.checkShareAdmin(in)
	if err != nil {
		g.reply(in.Ref, ShareAdminReply{err})
		return
	}
	if g.kind != Share {
		g.startModern(Share)
		g.emit(EpochRecord{Share, &GroupEpoch{Epoch: g.modern.epoch}})
	}
	if len(in.Add) > 0 || len(in.Remove) > 0 {
		all := maps.Clone(g.modern.initialized)
		if all == nil {
			all = map[Partition]bool{}
		}
		for _, p := range in.Add {
			all[p] = true
		}
		for _, p := range in.Remove {
			delete(all, p)
		}
		g.emit(StateRecord{g.stateOf(all)})
	}
	g.commit(func(err *kerr.Error) {
		if err != nil {
			g.reply(in.Ref, ShareAdminReply{&Refusal{Error: err}})
			return
		}
		g.reply(in.Ref, ShareAdminReply{})
	})
}

func (g *Group) checkShareAdmin(in ShareAdmin) *Refusal {
	switch {
	case g.deleting || g.state == Dead:
		return refuse(kerr.CoordinatorNotAvailable, "the group is being deleted")
	case g.kind != Share && g.known:
		return refuse(kerr.GroupIDNotFound, "Group %s is not a share group.", g.id)
	case g.kind != Share && !in.Create:
		return refuse(kerr.GroupIDNotFound, "Group %s not found.", g.id)
	case g.kind == Share && len(g.modern.members) > 0:
		return refuse(kerr.NonEmptyGroup, "The group is not empty.")
	}
	return nil
}

// dropStates forgets the states of topics that are no more.
func (g *Group) dropStates(topics map[string]bool) {
	if g.kind != Share || g.busy {
		return
	}
	all, gone := map[Partition]bool{}, []Partition{}
	for _, p := range g.modern.states() {
		if topics[g.modern.names[p.Topic]] && g.cluster.TopicName(p.Topic) == "" {
			gone = append(gone, p)
		} else {
			all[p] = true
		}
	}
	if len(gone) == 0 {
		return
	}
	g.emit(StateRecord{g.stateOf(all)})
	g.commit(func(err *kerr.Error) {
		if err == nil {
			g.out = append(g.out, DropShare{gone})
		}
	})
}
