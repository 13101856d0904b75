package server

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/group"
)

// ShareGroupHeartbeat (API key 76), version 1 (KIP-932).
//
// Join, leave, change the subscription and learn the assignment, as by key 68. Answered when
// what it changes is durable, and the partitions that it is about have a state.
func init() { register(76, 1, 1, (*Server).shareGroupHeartbeat) }

func (s *Server) shareGroupHeartbeat(r *Request, req *kmsg.ShareGroupHeartbeatRequest) kmsg.Response {
	resp := kmsg.NewPtrShareGroupHeartbeatResponse()
	if strings.TrimSpace(req.GroupID) == "" {
		resp.ErrorCode, resp.ErrorMessage = kerr.InvalidRequest.Code, text("GroupId can't be empty.")
		return resp
	}
	if denied := s.onSubscription(r, req.GroupID, req.SubscribedTopicNames); denied != nil {
		resp.ErrorCode, resp.ErrorMessage = denied.Code, deniedText(denied)
		return resp
	}
	reply := s.groups.ShareHeartbeat(r.Context(), strings.Clone(req.GroupID), group.ShareHeartbeat{
		MemberID: strings.Clone(req.MemberID), Epoch: req.MemberEpoch, RackID: clonePtr(req.RackID),
		Topics: cloneStrings(req.SubscribedTopicNames), ClientID: strings.Clone(r.ClientID), ClientHost: r.ClientHost,
	})
	if reply.Err != nil {
		resp.ErrorCode, resp.ErrorMessage = refused(reply.Err)
		return resp
	}
	resp.MemberID, resp.MemberEpoch, resp.HeartbeatIntervalMillis = &reply.MemberID, reply.Epoch, int32(reply.Interval.Milliseconds())
	if reply.Assigned {
		a := kmsg.NewShareGroupHeartbeatResponseAssignment()
		a.TopicPartitions = make([]kmsg.ShareGroupHeartbeatResponseAssignmentTopicPartition, len(reply.Assignment))
		for i, t := range reply.Assignment {
			a.TopicPartitions[i].TopicID, a.TopicPartitions[i].Partitions = t.Topic, t.Partitions
		}
		resp.Assignment = &a
	}
	return resp
}
