package server

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/share"
	"millrace/broker/internal/shares"
)

// ShareAcknowledge (API key 79), versions 1–2 (KIP-932).
//
//	v2 renewing (KIP-1222)
//
// What a member of a share group says of records that it has. Answered when it is durable.
func init() { register(79, 1, 2, (*Server).shareAcknowledge) }

func (s *Server) shareAcknowledge(r *Request, req *kmsg.ShareAcknowledgeRequest) kmsg.Response {
	resp := kmsg.NewPtrShareAcknowledgeResponse()
	group, member := orEmpty(req.GroupID), orEmpty(req.MemberID)
	var err *kerr.Error
	var session *shares.Session
	closing := false
	if denied := s.onGroup(r, acl.Read, group); denied != nil {
		err = denied
	} else if req.GroupID == nil {
		err = kerr.InvalidRequest
	} else if len(member) > 0 && len(member) <= maxMemberID && req.ShareSessionEpoch == shares.OpenEpoch {
		err = kerr.InvalidShareSessionEpoch // a session begins with a fetch
	} else {
		session, closing, err = s.shareSession(r, group, member, req.ShareSessionEpoch)
	}
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage = err.Code, text(err.Description)
		s.metrics.failed(79, err.Code)
		return resp
	}
	resp.AcquisitionLockTimeoutMillis = s.cluster.Image().Group(group).ShareRecordLockDurationMs
	var all []acknowledging
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			a := acknowledging{tp: shares.TopicPartition{Topic: t.TopicID, Partition: t.Partitions[j].Partition}}
			for _, b := range t.Partitions[j].AcknowledgementBatches {
				a.acks = append(a.acks, share.Ack{First: b.FirstOffset, Last: b.LastOffset, Types: b.AcknowledgeTypes})
			}
			all = append(all, a)
		}
	}
	s.acknowledge(r, group, member, all, req.IsRenewAck)
	next := all
	for i := range req.Topics {
		out := kmsg.NewShareAcknowledgeResponseTopic()
		out.TopicID = req.Topics[i].TopicID
		for range req.Topics[i].Partitions {
			p := kmsg.NewShareAcknowledgeResponseTopicPartition()
			p.Partition, p.ErrorCode = next[0].tp.Partition, next[0].code
			if kerr.IsRetriable(kerr.ErrorForCode(p.ErrorCode)) {
				s.leaderOfFailed(r, resp, next[0].tp, &p)
			}
			s.metrics.failed(79, p.ErrorCode)
			out.Partitions = append(out.Partitions, p)
			next = next[1:]
		}
		resp.Topics = append(resp.Topics, out)
	}
	if closing {
		s.endShareSession(group, member, session)
	}
	return resp
}

// leaderOfFailed tells who leads a partition whose records are to be spoken of again, as in ShareFetch.
func (s *Server) leaderOfFailed(r *Request, resp *kmsg.ShareAcknowledgeResponse, tp shares.TopicPartition, out *kmsg.ShareAcknowledgeResponseTopicPartition) {
	leader, epoch, at, ok := s.shareLeader(r, tp)
	if !ok {
		return
	}
	out.CurrentLeader.LeaderID, out.CurrentLeader.LeaderEpoch = leader, epoch
	if !slices.ContainsFunc(resp.NodeEndpoints, func(n kmsg.ShareAcknowledgeResponseNodeEndpoint) bool { return n.NodeID == leader }) {
		n := kmsg.NewShareAcknowledgeResponseNodeEndpoint()
		n.NodeID, n.Host, n.Port = leader, at.Host, at.Port
		resp.NodeEndpoints = append(resp.NodeEndpoints, n)
	}
}
