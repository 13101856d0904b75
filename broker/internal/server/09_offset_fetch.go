package server

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/group"
)

// OffsetFetch (API key 9), versions 1–10.
//
//	v2 all topics by a null list, error for the group   v3 throttle time   v5 leader epoch (KIP-320)
//	v6 flexible (KIP-482)   v7 stable offsets (KIP-447)   v8 several groups (KIP-709)
//	v9 member id and epoch (KIP-848), of consumer groups   v10 topic ids (KIP-848)
//
// A group that does not exist has no offsets, which is no error: each is -1.
func init() { register(9, 1, 10, (*Server).offsetFetch) }

func (s *Server) offsetFetch(r *Request, req *kmsg.OffsetFetchRequest) kmsg.Response {
	resp := kmsg.NewPtrOffsetFetchResponse()
	if r.Version < 8 {
		topics := make([]kmsg.OffsetFetchRequestGroupTopic, len(req.Topics))
		for i, t := range req.Topics {
			topics[i] = kmsg.OffsetFetchRequestGroupTopic{Topic: t.Topic, Partitions: t.Partitions}
		}
		g := s.fetchGroupOffsets(r, req.Group, group.Fetch{MemberEpoch: -1, All: req.Topics == nil, Stable: req.RequireStable}, topics)
		resp.ErrorCode = g.ErrorCode
		oldOffsetFetch(r.Version, resp, req.Topics, g)
		return resp
	}
	resp.Groups = make([]kmsg.OffsetFetchResponseGroup, len(req.Groups))
	for i := range req.Groups {
		g := &req.Groups[i]
		in := group.Fetch{MemberEpoch: -1, All: g.Topics == nil, Stable: req.RequireStable}
		if r.Version >= 9 {
			in.MemberID, in.MemberEpoch = g.MemberID, g.MemberEpoch
			if g.MemberID == nil && g.MemberEpoch >= 0 {
				in.MemberID = new(string) // an epoch of nobody
			}
		}
		resp.Groups[i] = s.fetchGroupOffsets(r, g.Group, in, g.Topics)
	}
	return resp
}

// oldOffsetFetch turns the answer for one group to the form before version 8. Version 1
// has no error for the group: each partition gets it.
func oldOffsetFetch(version int16, resp *kmsg.OffsetFetchResponse, asked []kmsg.OffsetFetchRequestTopic, g kmsg.OffsetFetchResponseGroup) {
	for _, t := range g.Topics {
		topic := kmsg.OffsetFetchResponseTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			topic.Partitions = append(topic.Partitions, kmsg.OffsetFetchResponseTopicPartition{
				Partition: p.Partition, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch, Metadata: p.Metadata, ErrorCode: p.ErrorCode,
			})
		}
		resp.Topics = append(resp.Topics, topic)
	}
	if g.ErrorCode == 0 || version >= 2 {
		return
	}
	for _, t := range asked {
		topic := kmsg.OffsetFetchResponseTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			topic.Partitions = append(topic.Partitions, kmsg.OffsetFetchResponseTopicPartition{
				Partition: p, Offset: -1, LeaderEpoch: -1, Metadata: new(string), ErrorCode: g.ErrorCode,
			})
		}
		resp.Topics = append(resp.Topics, topic)
	}
}

func (s *Server) fetchGroupOffsets(r *Request, id string, in group.Fetch, topics []kmsg.OffsetFetchRequestGroupTopic) kmsg.OffsetFetchResponseGroup {
	answer := kmsg.NewOffsetFetchResponseGroup()
	answer.Group = id
	if denied := s.onGroup(r, acl.Describe, id); denied != nil {
		answer.ErrorCode = denied.Code
		return answer
	}
	byID := r.Version >= 10
	image := s.cluster.Image()

	refused := make([]*kerr.Error, len(topics)) // by topic
	for i, t := range topics {
		name := t.Topic
		topic, err := s.topicRef(r, image, acl.Describe, byID, name, t.TopicID)
		if err != nil && err != kerr.UnknownTopicOrPartition { // there may be offsets of a topic that is gone
			refused[i] = err
			continue
		}
		if byID {
			name = topic.Name
		}
		for _, p := range t.Partitions {
			in.Partitions = append(in.Partitions, group.TopicPartition{Topic: name, Partition: p})
		}
	}
	reply := s.groups.Fetch(r.Context(), id, in)
	if reply.Err != nil {
		answer.ErrorCode = reply.Err.Code
		return answer
	}
	if in.All {
		answer.Topics = allOffsets(image, byID, slices.DeleteFunc(reply.Offsets, func(o group.FetchedOffset) bool {
			return !s.may(r, acl.Describe, acl.Topic, o.Topic)
		}))
		return answer
	}
	next := reply.Offsets
	for i, t := range topics {
		at := kmsg.OffsetFetchResponseGroupTopic{Topic: t.Topic, TopicID: t.TopicID}
		for _, p := range t.Partitions {
			if err := refused[i]; err != nil {
				ap := noOffset(p)
				ap.ErrorCode = err.Code
				at.Partitions = append(at.Partitions, ap)
				continue
			}
			at.Partitions = append(at.Partitions, committedOffset(image, next[0]))
			next = next[1:]
		}
		answer.Topics = append(answer.Topics, at)
	}
	return answer
}

// allOffsets groups offsets by topic. By id, a topic that is gone cannot be named, and
// is left out.
func allOffsets(image *cluster.Image, byID bool, offsets []group.FetchedOffset) (topics []kmsg.OffsetFetchResponseGroupTopic) {
	for _, o := range offsets {
		at := kmsg.OffsetFetchResponseGroupTopic{Topic: o.Topic}
		if t := image.Topic(o.Topic); t != nil {
			at.TopicID = t.ID
		} else if byID {
			continue
		}
		p := committedOffset(image, o)
		if p.Offset < 0 && p.ErrorCode == 0 {
			continue
		}
		if n := len(topics); n == 0 || topics[n-1].Topic != o.Topic {
			topics = append(topics, at)
		}
		last := &topics[len(topics)-1]
		last.Partitions = append(last.Partitions, p)
	}
	return topics
}

// committedOffset is the answer for a partition. An offset that was committed for an
// earlier topic of the same name does not count.
func committedOffset(image *cluster.Image, o group.FetchedOffset) kmsg.OffsetFetchResponseGroupTopicPartition {
	if o.Err != nil {
		p := noOffset(o.Partition)
		p.ErrorCode = o.Err.Code
		return p
	}
	if t := image.Topic(o.Topic); t != nil && o.TopicID != ([16]byte{}) && cluster.TopicID(o.TopicID) != t.ID {
		return noOffset(o.Partition)
	}
	return kmsg.OffsetFetchResponseGroupTopicPartition{
		Partition: o.Partition, Offset: o.Offset, LeaderEpoch: o.LeaderEpoch, Metadata: &o.Metadata,
	}
}

func noOffset(partition int32) kmsg.OffsetFetchResponseGroupTopicPartition {
	return kmsg.OffsetFetchResponseGroupTopicPartition{Partition: partition, Offset: -1, LeaderEpoch: -1, Metadata: new(string)}
}
