package assignor

import "slices"

// Uniform balances the number of partitions over the members and moves as few as it
// can. Where members subscribe to different topics the result is balanced as far as
// moving one partition at a time gets.
func Uniform(topics []Topic, members []Member) [][]Partition {
	u := newUniform(topics, members)
	if u.alike() {
		u.keepUpToQuota()
		u.spreadToQuota()
	} else {
		u.keepAll()
		u.spread()
		u.balance()
	}
	out := make([][]Partition, len(members))
	for m, ps := range u.has {
		for _, p := range ps {
			out[m] = append(out[m], Partition{topics[p.topic].ID, p.index})
		}
	}
	return sorted(out)
}

// place is a partition by its topic's position.
type place struct {
	topic int
	index int32
}

type uniform struct {
	topics      []Topic
	members     []Member
	order       []int
	subscribers [][]int // by topic: members, in order
	owner       [][]int // by topic and partition: member, -1 if none
	has         [][]place
	total       int
}

func newUniform(topics []Topic, members []Member) *uniform {
	u := &uniform{
		topics: topics, members: members, order: inOrder(members),
		subscribers: make([][]int, len(topics)), owner: make([][]int, len(topics)), has: make([][]place, len(members)),
	}
	for _, m := range u.order {
		for _, t := range members[m].Topics {
			u.subscribers[t] = append(u.subscribers[t], m)
		}
	}
	for t := range topics {
		u.owner[t] = make([]int, topics[t].Partitions)
		for i := range u.owner[t] {
			u.owner[t][i] = -1
		}
		if len(u.subscribers[t]) > 0 {
			u.total += len(u.owner[t])
		}
	}
	return u
}

// alike tells whether all members subscribe to the same topics.
func (u *uniform) alike() bool {
	for i := range u.members {
		if !slices.Equal(u.members[i].Topics, u.members[0].Topics) {
			return false
		}
	}
	return true
}

func (u *uniform) give(m int, p place) {
	u.owner[p.topic][p.index] = m
	u.has[m] = append(u.has[m], p)
}

// keep lets a member keep its partitions while more agrees: those that exist, that it
// subscribes to, and that nobody has taken.
func (u *uniform) keep(m int, byID map[TopicID]int, more func() bool) {
	for _, p := range u.members[m].Has {
		t, ok := byID[p.Topic]
		if !ok || p.Index < 0 || p.Index >= u.topics[t].Partitions || u.owner[t][p.Index] >= 0 {
			continue
		}
		if _, subscribed := slices.BinarySearch(u.members[m].Topics, t); !subscribed {
			continue
		}
		if !more() {
			return
		}
		u.give(m, place{t, p.Index})
	}
}

func (u *uniform) ids() map[TopicID]int {
	byID := make(map[TopicID]int, len(u.topics))
	for t := range u.topics {
		byID[u.topics[t].ID] = t
	}
	return byID
}

// keepUpToQuota lets each member keep what is its due: the same for all, and one more
// for as many as the division leaves over, first those who have it.
func (u *uniform) keepUpToQuota() {
	if len(u.members) == 0 {
		return
	}
	quota, more := u.total/len(u.members), u.total%len(u.members)
	byID := u.ids()
	for _, m := range u.order {
		u.keep(m, byID, func() bool {
			if len(u.has[m]) < quota {
				return true
			}
			if more == 0 || len(u.has[m]) > quota {
				return false
			}
			more--
			return true
		})
	}
}

// spreadToQuota gives out the rest: to each member what it lacks of its due, then the
// one more.
func (u *uniform) spreadToQuota() {
	free := u.free()
	quota := 0
	if len(u.members) > 0 {
		quota = u.total / len(u.members)
	}
	for _, upTo := range []int{quota, quota + 1} {
		for _, m := range u.order {
			for len(free) > 0 && len(u.has[m]) < upTo {
				u.give(m, free[0])
				free = free[1:]
			}
		}
	}
}

// free lists the partitions that nobody has and somebody may have.
func (u *uniform) free() (out []place) {
	for t := range u.topics {
		if len(u.subscribers[t]) == 0 {
			continue
		}
		for i, m := range u.owner[t] {
			if m < 0 {
				out = append(out, place{t, int32(i)})
			}
		}
	}
	return out
}

func (u *uniform) keepAll() {
	byID := u.ids()
	for _, m := range u.order {
		u.keep(m, byID, func() bool { return true })
	}
}

// spread gives out the rest, topics with the fewest subscribers first, each partition
// to the subscriber that has the least.
func (u *uniform) spread() {
	free := u.free()
	slices.SortStableFunc(free, func(a, b place) int { return len(u.subscribers[a.topic]) - len(u.subscribers[b.topic]) })
	for _, p := range free {
		u.give(u.least(p.topic), p)
	}
}

// least returns the subscriber of a topic that has the fewest partitions.
func (u *uniform) least(topic int) int {
	best := u.subscribers[topic][0]
	for _, m := range u.subscribers[topic][1:] {
		if len(u.has[m]) < len(u.has[best]) {
			best = m
		}
	}
	return best
}

// balance moves single partitions from members to subscribers of the same topic that
// have at least two fewer, until there is none. Each move makes the sum of the squares
// smaller, so that it ends.
func (u *uniform) balance() {
	for moved := true; moved; {
		moved = false
		for t := range u.topics {
			if len(u.subscribers[t]) < 2 {
				continue
			}
			for i, m := range u.owner[t] {
				if to := u.least(t); len(u.has[m]) > len(u.has[to])+1 {
					u.move(place{t, int32(i)}, m, to)
					moved = true
				}
			}
		}
	}
}

func (u *uniform) move(p place, from, to int) {
	at := slices.Index(u.has[from], p)
	u.has[from] = slices.Delete(u.has[from], at, at+1)
	u.give(to, p)
}
