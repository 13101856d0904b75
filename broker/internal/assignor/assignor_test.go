package assignor

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func topics(partitions ...int32) (out []Topic) {
	for i, n := range partitions {
		out = append(out, Topic{ID: TopicID{byte(i + 1)}, Partitions: n})
	}
	return out
}

// show writes "a: 1/0 1/1" for each member.
func show(members []Member, out [][]Partition) string {
	var b strings.Builder
	for i, m := range members {
		fmt.Fprintf(&b, "%s:", m.ID)
		for _, p := range out[i] {
			fmt.Fprintf(&b, " %d/%d", p.Topic[0], p.Index)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestRange_NeighboursAndCoPartitioning(t *testing.T) {
	t.Parallel()
	members := []Member{{ID: "b", Topics: []int{0, 1}}, {ID: "a", Topics: []int{0, 1}}, {ID: "z", Instance: "i", Topics: []int{1}}}
	got := show(members, Range(topics(3, 4), members))
	want := "b: 1/2 2/3\na: 1/0 1/1 2/2\nz: 2/0 2/1\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestUniform_KeepsWhatItCan(t *testing.T) {
	t.Parallel()
	ts := topics(6)
	members := []Member{{ID: "a", Topics: []int{0}}, {ID: "b", Topics: []int{0}}}
	first := Uniform(ts, members)
	members[0].Has, members[1].Has = first[0], first[1]
	members = append(members, Member{ID: "c", Topics: []int{0}})
	second := Uniform(ts, members)
	for i := range 2 {
		if len(second[i]) != 2 {
			t.Errorf("%s has %d partitions, want 2", members[i].ID, len(second[i]))
		}
		for _, p := range second[i] {
			if !slices.Contains(first[i], p) {
				t.Errorf("%s was given %v, which it did not have", members[i].ID, p)
			}
		}
	}
	if len(second[2]) != 2 {
		t.Errorf("c has %v", second[2])
	}
}

// TestAssignors_Properties gives the assignors random groups. Each partition with a
// subscriber has exactly one owner, who subscribes to it; uniform is balanced and, asked
// again, changes nothing.
func TestAssignors_Properties(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 7))
		ts := make([]Topic, r.IntN(6))
		for i := range ts {
			ts[i] = Topic{TopicID{byte(i + 1)}, int32(r.IntN(12))}
		}
		alike := r.IntN(2) == 0
		members := make([]Member, r.IntN(9))
		for i := range members {
			members[i].ID = fmt.Sprint("m", i)
			for t := range ts {
				if alike || r.IntN(3) > 0 {
					members[i].Topics = append(members[i].Topics, t)
				}
			}
			for range r.IntN(8) {
				members[i].Has = append(members[i].Has, Partition{TopicID{byte(r.IntN(7))}, int32(r.IntN(14) - 1)})
			}
		}
		for name, f := range map[string]Func{"uniform": Uniform, "range": Range} {
			out := f(ts, members)
			checkComplete(t, fmt.Sprint(name, " seed ", seed), ts, members, out)
		}
		out := Uniform(ts, members)
		checkBalanced(t, seed, members, out)
		for i := range members {
			members[i].Has = out[i]
		}
		if again := Uniform(ts, members); show(members, again) != show(members, out) {
			t.Errorf("seed %d: asked again, uniform moves\n%s to\n%s", seed, show(members, out), show(members, again))
		}
		if t.Failed() {
			return
		}
	}
}

func checkComplete(t *testing.T, where string, ts []Topic, members []Member, out [][]Partition) {
	t.Helper()
	owners := map[Partition]string{}
	for i, m := range members {
		for _, p := range out[i] {
			if other, ok := owners[p]; ok {
				t.Errorf("%s: %v belongs to %s and %s", where, p, other, m.ID)
			}
			owners[p] = m.ID
			if !slices.Contains(m.Topics, int(p.Topic[0])-1) {
				t.Errorf("%s: %s does not subscribe to %v", where, m.ID, p)
			}
		}
	}
	for i, topic := range ts {
		subscribed := slices.ContainsFunc(members, func(m Member) bool { return slices.Contains(m.Topics, i) })
		for p := range topic.Partitions {
			if _, ok := owners[Partition{topic.ID, p}]; ok != subscribed {
				t.Errorf("%s: partition %d/%d is assigned: %v, subscribed: %v", where, i+1, p, ok, subscribed)
			}
		}
	}
}

func checkBalanced(t *testing.T, seed uint64, members []Member, out [][]Partition) {
	t.Helper()
	for i := range members {
		for _, p := range out[i] {
			for j := range members {
				if slices.Contains(members[j].Topics, int(p.Topic[0])-1) && len(out[i]) > len(out[j])+1 {
					t.Errorf("seed %d: %s could take %v from %s", seed, members[j].ID, p, members[i].ID)
				}
			}
		}
	}
}

func BenchmarkUniform_ManyMembers(b *testing.B) {
	ts := topics(1000, 1000, 1000)
	members := make([]Member, 500)
	for i := range members {
		members[i] = Member{ID: fmt.Sprint("m", i), Topics: []int{0, 1, 2}}
	}
	for b.Loop() {
		Uniform(ts, members)
	}
}

// TestSimple_Properties gives the share assignor random groups: each partition with subscribers
// has a member, each member a partition of what it subscribes to, partitions of a topic have as
// many members as each other, and asked again nothing moves.
func TestSimple_Properties(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 9))
		ts := make([]Topic, 1+r.IntN(4))
		for i := range ts {
			ts[i] = Topic{TopicID{byte(i + 1)}, int32(1 + r.IntN(7))}
		}
		var members []Member
		for i := range 1 + r.IntN(12) {
			m := Member{ID: fmt.Sprint("m", i)}
			for t := range ts {
				if r.IntN(3) > 0 {
					m.Topics = append(m.Topics, t)
				}
			}
			members = append(members, m)
		}
		out := Simple(ts, members)
		for round := range 3 {
			checkShared(t, seed, ts, members, out)
			for i := range members {
				members[i].Has = out[i]
			}
			again := Simple(ts, members)
			if show(members, again) != show(members, out) {
				t.Errorf("seed %d round %d: asked again, simple moves\n%s to\n%s", seed, round, show(members, out), show(members, again))
			}
			members = append(members, Member{ID: fmt.Sprint("n", round), Topics: []int{0}})
			out = Simple(ts, members)
		}
		if t.Failed() {
			return
		}
	}
}

func checkShared(t *testing.T, seed uint64, ts []Topic, members []Member, out [][]Partition) {
	t.Helper()
	readers := map[Partition]int{}
	for i, m := range members {
		if len(m.Topics) > 0 && len(out[i]) == 0 {
			t.Errorf("seed %d: %s has nothing to do", seed, m.ID)
		}
		for _, p := range out[i] {
			readers[p]++
			if !slices.Contains(m.Topics, int(p.Topic[0])-1) {
				t.Errorf("seed %d: %s does not subscribe to %v", seed, m.ID, p)
			}
		}
	}
	for i, topic := range ts {
		n := 0
		for _, m := range members {
			if slices.Contains(m.Topics, i) {
				n++
			}
		}
		least, most := len(members), 0
		for p := range topic.Partitions {
			least, most = min(least, readers[Partition{topic.ID, p}]), max(most, readers[Partition{topic.ID, p}])
		}
		if n > 0 && (least == 0 || most-least > 1) {
			t.Errorf("seed %d: partitions of topic %d have %d to %d members", seed, i+1, least, most)
		}
	}
}
