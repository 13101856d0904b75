package assignor

// Range gives each subscriber of a topic a run of neighbouring partitions. Of n
// partitions and m members the first n mod m members get one more.
func Range(topics []Topic, members []Member) [][]Partition {
	out := make([][]Partition, len(members))
	subscribers := make([]int32, len(topics))
	for _, m := range members {
		for _, t := range m.Topics {
			subscribers[t]++
		}
	}
	next := make([]int32, len(topics))   // the first partition that is not given yet
	served := make([]int32, len(topics)) // subscribers that have their run
	for _, i := range inOrder(members) {
		for _, t := range members[i].Topics {
			run := topics[t].Partitions / subscribers[t]
			if served[t] < topics[t].Partitions%subscribers[t] {
				run++
			}
			served[t]++
			for range run {
				out[i] = append(out[i], Partition{topics[t].ID, next[t]})
				next[t]++
			}
		}
	}
	return sorted(out)
}
