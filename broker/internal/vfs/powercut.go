package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// pageSize is the unit in which an operating system writes files back.
const pageSize = 4096

// PowerCut returns the file system that the machine finds after the power comes back. What was synced is there.
// Of the rest nothing is, when luck is nil; otherwise luck decides, for each page written and
// each folder, as a journaling file system does: a lost page reads as it was before, or as zeros
// where the file had not reached yet. m itself goes on unchanged, as the process that is no more.
func (m *Mem) PowerCut(luck *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &Mem{root: m.root.survive(luck), locks: map[string]bool{}}
}

func (n *node) survive(luck *rand.Rand) *node {
	if n.dir {
		entries := n.durable
		if luck != nil && luck.IntN(2) == 0 {
			entries = n.entries
		}
		out := newDir(n.name)
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			child := entries[name].survive(luck)
			child.name = name
			out.entries[name] = child
		}
		out.durable = maps.Clone(out.entries)
		return out
	}
	data := slices.Clone(n.synced)
	if luck != nil {
		lost := map[int]bool{}
		for _, c := range n.pending {
			data = c.survive(data, lost, luck)
		}
	}
	return &node{name: n.name, data: data, synced: slices.Clone(data)}
}

// survive applies those pages of a change that had luck. A page that lost one change has lost
// all later ones too: it was last written back before.
func (c change) survive(data []byte, lost map[int]bool, luck *rand.Rand) []byte {
	if c.data == nil {
		if lost[-1] = lost[-1] || luck.IntN(2) == 0; !lost[-1] {
			return c.apply(data)
		}
		return data
	}
	for at := 0; at < len(c.data); {
		start := int(c.offset) + at
		page := start / pageSize
		size := min((page+1)*pageSize-start, len(c.data)-at)
		if lost[page] = lost[page] || luck.IntN(4) == 0; !lost[page] {
			data = change{int64(start), c.data[at : at+size]}.apply(data)
		}
		at += size
	}
	return data
}
