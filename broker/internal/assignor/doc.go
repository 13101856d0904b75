// Package assignor decides which member of a group reads which partition, where the
// broker decides (KIP-848, KIP-932). Its functions are pure: the same input gives the
// same assignment.
//
//	uniform  each member gets as many partitions as the others, give or take one, and
//	         keeps what it has as far as that allows. The default.
//	range    each topic is cut into runs of neighbouring partitions, one for each member,
//	         in the order of the members, so that partition n of two topics of the same size
//	         meets at one member. Not sticky.
//	simple   for share groups: partitions may have several members, members several
//	         partitions, and no member is without work.
//
// A topic is subscribed to by a subset of the members. A partition goes only to one of
// those, and every partition with at least one subscriber is assigned.
package assignor

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// TopicID names a topic.
type TopicID [16]byte

// Partition names a partition by its topic's id.
type Partition struct {
	Topic TopicID
	Index int32
}

// Compare orders partitions by topic id and index.
func Compare(a, b Partition) int {
	return cmp.Or(bytes.Compare(a.Topic[:], b.Topic[:]), cmp.Compare(a.Index, b.Index))
}

// Topic is one that at least one member subscribes to.
type Topic struct {
	ID         TopicID
	Partitions int32
}

// Member is one to assign to.
type Member struct {
	ID       string
	Instance string      // of a static member (KIP-345), empty otherwise
	Topics   []int       // what it subscribes to: positions in the list of topics, ascending, each once
	Has      []Partition // what it was assigned so far
}

// Func assigns the partitions of topics to members. The result has an entry for each
// member, in their order, each sorted. Members with the same id are not allowed.
type Func func(topics []Topic, members []Member) [][]Partition

// Names of the assignors as members and settings give them.
const (
	UniformName = "uniform"
	RangeName   = "range"
	SimpleName  = "simple"
)

// ByName returns an assignor for consumer groups, nil if there is none of that name.
func ByName(name string) Func {
	switch name {
	case UniformName:
		return Uniform
	case RangeName:
		return Range
	}
	return nil
}

// inOrder returns the positions of the members in the order in which they are served:
// static members by instance id, so that a restart changes nothing, then the others by id.
func inOrder(members []Member) []int {
	order := make([]int, len(members))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		x, y := &members[a], &members[b]
		if (x.Instance == "") != (y.Instance == "") {
			if x.Instance != "" {
				return -1
			}
			return 1
		}
		return cmp.Or(strings.Compare(x.Instance, y.Instance), strings.Compare(x.ID, y.ID))
	})
	return order
}

// sorted sorts each member's partitions.
func sorted(out [][]Partition) [][]Partition {
	for _, ps := range out {
		slices.SortFunc(ps, Compare)
	}
	return out
}
