package assignor

// Simple is for share groups: each member gets a share of the partitions, and where
// there are more members than partitions, partitions have several.
func Simple(topics []Topic, members []Member) [][]Partition {
	return Range(topics, members)
}
