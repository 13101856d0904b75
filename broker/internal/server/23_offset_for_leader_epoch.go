package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/record"
)

// OffsetForLeaderEpoch (API key 23), versions 2–4 (KIP-101, KIP-320).
//
//	v2 current leader epoch   v3 replica id   v4 flexible (KIP-482)
//
// Answers where an epoch ended, by which a reader learns whether what it has read
// is still in the log.
func init() { register(23, 2, 4, (*Server).offsetForLeaderEpoch) }

func (s *Server) offsetForLeaderEpoch(r *Request, req *kmsg.OffsetForLeaderEpochRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	broker := s.may(r, acl.ClusterAction, acl.Cluster, acl.ClusterName)
	for _, t := range req.Topics {
		out := kmsg.NewOffsetForLeaderEpochResponseTopic()
		out.Topic = t.Topic
		denied := !broker && s.onTopic(r, acl.Describe, t.Topic) != nil
		for _, in := range t.Partitions {
			part := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			part.Partition = in.Partition
			part.LeaderEpoch, part.EndOffset = -1, -1
			if denied {
				part.ErrorCode = kerr.TopicAuthorizationFailed.Code
				out.Partitions = append(out.Partitions, part)
				continue
			}
			p, err := s.replicas.Get(t.Topic, in.Partition)
			if err == nil {
				err = p.CheckEpoch(in.CurrentLeaderEpoch)
			}
			if err == nil {
				epoch, end := p.Log().EpochEnd(record.Epoch(in.LeaderEpoch))
				part.LeaderEpoch, part.EndOffset = int32(epoch), int64(end)
			}
			part.ErrorCode = s.codeOf(err, "offset for leader epoch", t.Topic, in.Partition)
			s.metrics.failed(23, part.ErrorCode)
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
