package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"slices"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/group"
)

// OffsetDelete (API key 47), version 0 (KIP-496).
//
// Offsets of a topic that the group's members read stay: GROUP_SUBSCRIBED_TO_TOPIC.
func init() { register(47, 0, 0, (*Server).offsetDelete) }

func (s *Server) offsetDelete(r *Request, req *kmsg.OffsetDeleteRequest) kmsg.Response {
	resp := kmsg.NewPtrOffsetDeleteResponse()
	if denied := s.onGroup(r, acl.Delete, req.Group); denied != nil {
		resp.ErrorCode = denied.Code
		return resp
	}
	image := s.cluster.Image()
	var tps []group.TopicPartition
	var codes []*int16 // where the answer to each goes
	req.Topics = slices.DeleteFunc(req.Topics, func(t kmsg.OffsetDeleteRequestTopic) bool { return len(t.Partitions) == 0 })
	resp.Topics = make([]kmsg.OffsetDeleteResponseTopic, len(req.Topics))
	for i := range req.Topics {
		rt, at := &req.Topics[i], &resp.Topics[i]
		at.Topic = rt.Topic
		at.Partitions = make([]kmsg.OffsetDeleteResponseTopicPartition, len(rt.Partitions))
		topic, err := s.topicRef(r, image, acl.Read, false, rt.Topic, [16]byte{})
		for j := range rt.Partitions {
			ap := &at.Partitions[j]
			ap.Partition = rt.Partitions[j].Partition
			if err != nil {
				ap.ErrorCode = err.Code
				continue
			}
			if topic.Partition(ap.Partition) == nil {
				ap.ErrorCode = kerr.UnknownTopicOrPartition.Code
				continue
			}
			tps = append(tps, group.TopicPartition{Topic: topic.Name, Partition: ap.Partition})
			codes = append(codes, &ap.ErrorCode)
		}
	}
	reply := s.groups.DeleteOffsets(r.Context(), req.Group, tps)
	if reply.Err != nil {
		resp.ErrorCode, resp.Topics = reply.Err.Code, nil
		return resp
	}
	for i, code := range codes {
		*code = groupCode(reply.Partitions[i])
	}
	return resp
}
