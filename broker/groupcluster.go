package broker

import (
	"time"

	"millrace/broker/internal/cluster"
	"millrace/broker/internal/config"
	"millrace/broker/internal/group"
)

// groupCluster is the metadata as groups need it.
type groupCluster struct{ *cluster.Image }

// Version implements group.Cluster.
func (c groupCluster) Version() int64 { return c.Offset }

// Topic implements group.Cluster.
func (c groupCluster) Topic(name string) (id group.TopicID, partitions int32, ok bool) {
	t := c.Image.Topic(name)
	if t == nil {
		return group.TopicID{}, 0, false
	}
	return group.TopicID(t.ID), int32(len(t.Partitions)), true
}

// TopicName implements group.Cluster.
func (c groupCluster) TopicName(id group.TopicID) string {
	if t := c.TopicByID(cluster.TopicID(id)); t != nil {
		return t.Name
	}
	return ""
}

// EachTopic implements group.Cluster.
func (c groupCluster) EachTopic(yield func(name string) bool) {
	for t := range c.Topics() {
		if !yield(t.Name) {
			return
		}
	}
}

// Settings implements group.Cluster.
func (c groupCluster) Settings(name string) group.Settings { return groupSettings(c.Group(name)) }

func groupSettings(g *config.Group) group.Settings {
	ms := func(n int32) time.Duration { return time.Duration(n) * time.Millisecond }
	return group.Settings{
		SessionTimeout: ms(g.ConsumerSessionTimeoutMs), HeartbeatInterval: ms(g.ConsumerHeartbeatIntervalMs),
		AssignmentInterval: ms(g.ConsumerAssignmentIntervalMs),
		ShareSession:       ms(g.ShareSessionTimeoutMs), ShareHeartbeat: ms(g.ShareHeartbeatIntervalMs),
		ShareAssignment: ms(g.ShareAssignmentIntervalMs),
	}
}
