package storage

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Partition names one partition of a topic.
type Partition struct {
	Topic string
	Index int32
}

// String is also the name of the partition's folder: topic-index.
func (p Partition) String() string { return p.Topic + "-" + strconv.Itoa(int(p.Index)) }

// ParsePartition reads a folder name back. The topic may contain dashes itself.
func ParsePartition(folder string) (Partition, error) {
	dash := strings.LastIndexByte(folder, '-')
	if dash <= 0 {
		return Partition{}, fmt.Errorf("%q is not topic-partition", folder)
	}
	index, err := strconv.ParseInt(folder[dash+1:], 10, 32)
	if err != nil || index < 0 || folder[dash+1] == '+' {
		return Partition{}, fmt.Errorf("%q is not topic-partition", folder)
	}
	return Partition{Topic: folder[:dash], Index: int32(index)}, nil
}

// TopicID is the uuid of a topic; the zero value means that it has none.
type TopicID [16]byte

func (p Partition) compare(q Partition) int {
	return cmp.Or(cmp.Compare(p.Topic, q.Topic), cmp.Compare(p.Index, q.Index))
}
