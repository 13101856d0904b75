package assignor

import "slices"

// Simple is for share groups. A topic with at least as many partitions as subscribers is
// shared out, each partition to one of them. Where there are more subscribers, each gets one
// partition, and the partitions have as many members as each other, give or take one. What a
// member has it keeps as far as that allows.
func Simple(topics []Topic, members []Member) [][]Partition {
	out := make([][]Partition, len(members))
	subscribers := make([][]int, len(topics))
	for _, m := range inOrder(members) {
		for _, t := range members[m].Topics {
			subscribers[t] = append(subscribers[t], m)
		}
	}
	had := make([]map[Partition]bool, len(members))
	for i := range members {
		had[i] = make(map[Partition]bool, len(members[i].Has))
		for _, p := range members[i].Has {
			had[i][p] = true
		}
	}
	for t := range topics {
		partitions := make([]Partition, topics[t].Partitions)
		for i := range partitions {
			partitions[i] = Partition{topics[t].ID, int32(i)}
		}
		switch s := subscribers[t]; {
		case len(s) == 0 || len(partitions) == 0:
		case len(s) <= len(partitions):
			// Who has least of the topics before gets the one more that the division leaves over.
			slices.SortStableFunc(s, func(a, b int) int { return len(out[a]) - len(out[b]) })
			for p, i := range deal(len(partitions), len(s), func(p, i int) bool { return had[s[i]][partitions[p]] }) {
				out[s[i]] = append(out[s[i]], partitions[p])
			}
		default:
			for i, p := range deal(len(s), len(partitions), func(i, p int) bool { return had[s[i]][partitions[p]] }) {
				out[s[i]] = append(out[s[i]], partitions[p])
			}
		}
	}
	return sorted(out)
}

// deal gives each of n things to one of m holders, evenly: the first n mod m holders in line
// get one more. before tells who had what; that is kept as far as it goes.
func deal(n, m int, before func(thing, holder int) bool) []int {
	holder := make([]int, n)
	has := make([]int, m)
	more := n % m
	room := func(h int) bool { return has[h] < n/m || has[h] == n/m && more > 0 }
	give := func(thing, h int) {
		if has[h] == n/m {
			more--
		}
		has[h]++
		holder[thing] = h
	}
	var rest []int
	for thing := range n {
		holder[thing] = -1
		for h := range m {
			if before(thing, h) && room(h) {
				give(thing, h)
				break
			}
		}
		if holder[thing] < 0 {
			rest = append(rest, thing)
		}
	}
	h := 0
	for _, thing := range rest {
		for has[h] >= n/m && h < m-1 {
			h++
		}
		if has[h] >= n/m { // all have their due: what is left over goes to the first with room
			for h = 0; !room(h); h++ {
			}
		}
		give(thing, h)
	}
	return holder
}
