package server

import (
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/group"
)

// OffsetCommit (API key 8), versions 2–10.
//
//	v3 throttle time   v5 no retention time any more (KIP-211)   v6 leader epoch (KIP-320)
//	v7 group instance id (KIP-345)   v8 flexible (KIP-482)   v9 GROUP_ID_NOT_FOUND (KIP-848)
//	v10 topic ids (KIP-848)
//
// Answered when the offsets are durable.
func init() { register(8, 2, 10, (*Server).offsetCommit) }

func (s *Server) offsetCommit(r *Request, req *kmsg.OffsetCommitRequest) kmsg.Response {
	resp := kmsg.NewPtrOffsetCommitResponse()
	image := s.cluster.Image()
	in := group.Commit{
		MemberID: req.MemberID, InstanceID: orEmpty(req.InstanceID), Generation: req.Generation,
		KnowsGroupNotFound: r.Version >= 9,
	}
	if r.Version <= 4 && req.RetentionTimeMillis >= 0 {
		in.Retention = max(time.Duration(req.RetentionTimeMillis)*time.Millisecond, 1)
	}
	denied := s.onGroup(r, acl.Read, req.Group)
	var codes []*int16 // where the answer to each offset goes
	req.Topics = slices.DeleteFunc(req.Topics, func(t kmsg.OffsetCommitRequestTopic) bool { return len(t.Partitions) == 0 })
	resp.Topics = make([]kmsg.OffsetCommitResponseTopic, len(req.Topics))
	for i := range req.Topics {
		rt, at := &req.Topics[i], &resp.Topics[i]
		at.Topic, at.TopicID = rt.Topic, rt.TopicID
		at.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, len(rt.Partitions))
		topic, err := s.topicRef(r, image, acl.Read, r.Version >= 10, rt.Topic, rt.TopicID)
		if denied != nil {
			err = denied
		}
		for j := range rt.Partitions {
			rp, ap := &rt.Partitions[j], &at.Partitions[j]
			ap.Partition = rp.Partition
			switch {
			case err != nil:
				ap.ErrorCode = err.Code
			case topic.Partition(rp.Partition) == nil:
				ap.ErrorCode = kerr.UnknownTopicOrPartition.Code
			default:
				o := group.CommitOffset{
					TopicPartition: group.TopicPartition{Topic: topic.Name, Partition: rp.Partition},
					TopicID:        topic.ID, Offset: rp.Offset, LeaderEpoch: -1, Metadata: strings.Clone(orEmpty(rp.Metadata)),
				}
				if r.Version >= 6 {
					o.LeaderEpoch = rp.LeaderEpoch
				}
				in.Offsets = append(in.Offsets, o)
				codes = append(codes, &ap.ErrorCode)
			}
		}
	}
	if len(in.Offsets) == 0 {
		return resp
	}
	reply := s.groups.Commit(r.Context(), req.Group, in)
	for i, code := range codes {
		*code = groupCode(reply.Err)
		if reply.Offsets != nil {
			*code = groupCode(reply.Offsets[i])
		}
	}
	return resp
}
