package server

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/group"
)

// ConsumerGroupHeartbeat (API key 68), versions 0–1 (KIP-848).
//
//	v1 topics by regular expression, the member brings its own id (KIP-1082)
//
// One request for everything: join, leave, change the subscription, learn the assignment,
// tell what has been given back. Answered when what it changes is durable.
func init() { register(68, 0, 1, (*Server).consumerGroupHeartbeat) }

func (s *Server) consumerGroupHeartbeat(r *Request, req *kmsg.ConsumerGroupHeartbeatRequest) kmsg.Response {
	resp := kmsg.NewPtrConsumerGroupHeartbeatResponse()
	if strings.TrimSpace(req.Group) == "" {
		resp.ErrorCode, resp.ErrorMessage = kerr.InvalidRequest.Code, text("GroupId can't be empty.")
		return resp
	}
	if denied := s.onSubscription(r, req.Group, req.SubscribedTopicNames); denied != nil {
		resp.ErrorCode, resp.ErrorMessage = denied.Code, deniedText(denied)
		return resp
	}
	in := group.ConsumerHeartbeat{
		MemberID: strings.Clone(req.MemberID), Epoch: req.MemberEpoch, MustHaveID: r.Version >= 1,
		InstanceID: clonePtr(req.InstanceID), RackID: clonePtr(req.RackID), RebalanceTimeout: -1,
		Topics: cloneStrings(req.SubscribedTopicNames), Assignor: clonePtr(req.ServerAssignor),
		Regex: clonePtr(req.SubscribedTopicRegex), ClientID: strings.Clone(r.ClientID), ClientHost: r.ClientHost,
	}
	if req.MemberEpoch == 0 && len(req.Topics) > 0 { // of a topic without partitions nothing would be left in in.Owned
		resp.ErrorCode, resp.ErrorMessage = kerr.InvalidRequest.Code, text("TopicPartitions must be empty when (re-)joining.")
		return resp
	}
	if s.authorizer != nil {
		client := clientOf(r)
		in.Visible = func(topic string) bool {
			return s.authorizer.Allows(s.cluster.Image().Rules(), client, acl.Describe, acl.Topic, topic)
		}
	}
	if req.RebalanceTimeoutMillis != -1 {
		in.RebalanceTimeout = inMillis(max(req.RebalanceTimeoutMillis, 0))
	}
	if req.Topics != nil {
		in.Owned = []group.Partition{}
		for i := range req.Topics {
			for _, p := range req.Topics[i].Partitions {
				in.Owned = append(in.Owned, group.Partition{Topic: req.Topics[i].TopicID, Index: p})
			}
		}
	}
	reply := s.groups.ConsumerHeartbeat(r.Context(), strings.Clone(req.Group), in)
	if reply.Err != nil {
		resp.ErrorCode, resp.ErrorMessage = refused(reply.Err)
		return resp
	}
	resp.MemberID, resp.MemberEpoch, resp.HeartbeatIntervalMillis = &reply.MemberID, reply.Epoch, int32(reply.Interval.Milliseconds())
	if reply.Assigned {
		a := kmsg.NewConsumerGroupHeartbeatResponseAssignment()
		a.Topics = make([]kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic, len(reply.Assignment))
		for i, t := range reply.Assignment {
			a.Topics[i].TopicID, a.Topics[i].Partitions = t.Topic, t.Partitions
		}
		resp.Assignment = &a
	}
	return resp
}

// onSubscription asks whether a client may be a member of a group and know of the topics that it names.
func (s *Server) onSubscription(r *Request, groupID string, topics []string) *kerr.Error {
	if denied := s.onGroup(r, acl.Read, groupID); denied != nil {
		return denied
	}
	for _, topic := range topics {
		if denied := s.onTopic(r, acl.Describe, topic); denied != nil {
			return denied
		}
	}
	return nil
}

// refused is how a group's refusal is told.
func refused(err *group.Refusal) (code int16, message *string) {
	if err.Text == "" {
		return err.Code, text(err.Description)
	}
	return err.Code, text(err.Text)
}

// clonePtr copies a string of a request, so that what keeps it does not keep the frame.
func clonePtr(s *string) *string {
	if s == nil {
		return nil
	}
	c := strings.Clone(*s)
	return &c
}

func cloneStrings(list []string) []string {
	if list == nil {
		return nil
	}
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.Clone(s)
	}
	return out
}
