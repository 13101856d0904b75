package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/group"
	"millrace/broker/internal/sharestate"
)

// DescribeShareGroupOffsets (API key 90), versions 0–1 (KIP-932).
//
//	v1 lag (KIP-1226)
//
// Where a share group stands in its partitions: all that have a state, for a null list of
// topics. Where it has not begun, or there is no such topic or group, the start is -1.
func init() { register(90, 0, 1, (*Server).describeShareGroupOffsets) }

func (s *Server) describeShareGroupOffsets(r *Request, req *kmsg.DescribeShareGroupOffsetsRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeShareGroupOffsetsResponse()
	for i := range req.Groups {
		resp.Groups = append(resp.Groups, s.describeShareOffsets(r, &req.Groups[i]))
	}
	return resp
}

func (s *Server) describeShareOffsets(r *Request, asked *kmsg.DescribeShareGroupOffsetsRequestGroup) kmsg.DescribeShareGroupOffsetsResponseGroup {
	out := kmsg.NewDescribeShareGroupOffsetsResponseGroup()
	out.GroupID = asked.GroupID
	if denied := s.onGroup(r, acl.Describe, asked.GroupID); denied != nil {
		out.ErrorCode, out.ErrorMessage = denied.Code, deniedText(denied)
		return out
	}
	d, code, message := s.describeModern(asked.GroupID, group.Share)
	if code == kerr.GroupIDNotFound.Code { // which is no error in Kafka: it has not begun anywhere
		code, d.Modern = 0, &group.ModernDescription{}
	}
	if code != 0 {
		out.ErrorCode, out.ErrorMessage = code, message
		return out
	}
	image := s.cluster.Image()
	if asked.Topics == nil {
		for _, t := range d.Modern.States {
			if topic := image.TopicByID(cluster.TopicID(t.Topic)); topic != nil && s.may(r, acl.Describe, acl.Topic, topic.Name) {
				out.Topics = append(out.Topics, s.describeShareTopic(r, asked.GroupID, topic.Name, t.Topic, t.Partitions))
			}
		}
		return out
	}
	for _, t := range asked.Topics {
		topic := image.Topic(t.Topic)
		denied := s.onTopic(r, acl.Describe, t.Topic)
		if topic == nil || denied != nil {
			unknown := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopic()
			unknown.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopicPartition()
				rp.Partition, rp.StartOffset, rp.Lag = p, sharestate.Uninitialized, -1
				if denied != nil {
					rp.ErrorCode, rp.ErrorMessage = denied.Code, deniedText(denied)
				}
				unknown.Partitions = append(unknown.Partitions, rp)
			}
			out.Topics = append(out.Topics, unknown)
			continue
		}
		out.Topics = append(out.Topics, s.describeShareTopic(r, asked.GroupID, topic.Name, topic.ID, t.Partitions))
	}
	return out
}

func (s *Server) describeShareTopic(r *Request, groupID, name string, id [16]byte, partitions []int32) kmsg.DescribeShareGroupOffsetsResponseGroupTopic {
	out := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopic()
	out.Topic, out.TopicID = name, id
	for _, p := range partitions {
		rp := kmsg.NewDescribeShareGroupOffsetsResponseGroupTopicPartition()
		rp.Partition, rp.StartOffset, rp.Lag = p, sharestate.Uninitialized, -1
		a := s.shareStates.Summary(r.Context(), sharestate.Key{Group: groupID, Topic: id, Partition: p})
		rp.ErrorCode, rp.ErrorMessage = codeAndText(a.Err)
		if a.Err == nil && a.State != nil {
			rp.StartOffset, rp.LeaderEpoch = a.State.Start, a.State.LeaderEpoch
			if log, err := s.replicas.Get(name, p); err == nil && a.State.Start >= 0 {
				rp.Lag = max(int64(log.HighWatermark())-a.State.Start-int64(max(a.State.Complete, 0)), 0)
			}
		}
		out.Partitions = append(out.Partitions, rp)
	}
	return out
}
