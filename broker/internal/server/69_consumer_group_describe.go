package server

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/group"
)

// ConsumerGroupDescribe (API key 69), versions 0–1 (KIP-848).
//
//	v1 member type (KIP-1099)
func init() { register(69, 0, 1, (*Server).consumerGroupDescribe) }

// Member types of version 1.
const (
	memberClassic  int8 = 0
	memberConsumer int8 = 1
)

func (s *Server) consumerGroupDescribe(r *Request, req *kmsg.ConsumerGroupDescribeRequest) kmsg.Response {
	resp := kmsg.NewPtrConsumerGroupDescribeResponse()
	image := s.cluster.Image()
	for _, id := range req.Groups {
		g := kmsg.NewConsumerGroupDescribeResponseGroup()
		g.Group = id
		if denied := s.onGroup(r, acl.Describe, id); denied != nil {
			g.ErrorCode = denied.Code
			resp.Groups = append(resp.Groups, g)
			continue
		}
		d, code, message := s.describeModern(id, group.Consumer)
		if code == 0 && s.hidesTopics(r, image, d) {
			code, message = kerr.TopicAuthorizationFailed.Code, text(hiddenTopics)
		}
		g.ErrorCode, g.ErrorMessage = code, message
		if code == 0 {
			describeConsumerGroup(image, &g, d)
			if req.IncludeAuthorizedOperations {
				g.AuthorizedOperations = s.operationsOn(r, acl.Group, id, groupOperations)
			}
		}
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

// hiddenTopics is the answer where a member has topics that the client may not know of.
const hiddenTopics = "The group has described topic(s) that the client is not authorized to describe."

// hidesTopics tells whether members of a group have such topics.
func (s *Server) hidesTopics(r *Request, image *cluster.Image, d group.Description) bool {
	if s.authorizer == nil {
		return false
	}
	for i := range d.Modern.Members {
		m := &d.Modern.Members[i]
		for _, name := range m.Topics {
			if !s.may(r, acl.Describe, acl.Topic, name) {
				return true
			}
		}
		for _, t := range slices.Concat(m.Assigned, m.Target) {
			if topic := image.TopicByID(cluster.TopicID(t.Topic)); topic != nil && !s.may(r, acl.Describe, acl.Topic, topic.Name) {
				return true
			}
		}
	}
	return false
}

// describeModern finds a group of a kind where the broker assigns, or says why there is none.
func (s *Server) describeModern(id string, kind group.Kind) (d group.Description, code int16, message *string) {
	if id == "" {
		return d, kerr.InvalidGroupID.Code, nil
	}
	d, found, err := s.groups.Describe(id)
	name := "consumer"
	if kind == group.Share {
		name = "share"
	}
	switch {
	case err != nil:
		return d, err.Code, nil
	case !found:
		return d, kerr.GroupIDNotFound.Code, text("Group " + id + " not found.")
	case d.Kind != kind:
		return d, kerr.GroupIDNotFound.Code, text("Group " + id + " is not a " + name + " group.")
	}
	return d, 0, nil
}

func describeConsumerGroup(image *cluster.Image, g *kmsg.ConsumerGroupDescribeResponseGroup, d group.Description) {
	g.State, g.Epoch, g.AssignmentEpoch, g.AssignorName = d.State.String(), d.Modern.Epoch, d.Modern.AssignmentEpoch, d.Modern.Assignor
	for i := range d.Modern.Members {
		m := &d.Modern.Members[i]
		out := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		out.MemberID, out.InstanceID, out.RackID, out.MemberEpoch = m.ID, orNull(m.Instance), orNull(m.Rack), m.Epoch
		out.ClientID, out.ClientHost, out.SubscribedTopics = m.ClientID, m.ClientHost, m.Topics
		out.SubscribedTopicRegex = &m.Regex
		out.Assignment.TopicPartitions = assignedTopics(image, m.Assigned)
		out.TargetAssignment.TopicPartitions = assignedTopics(image, m.Target)
		out.MemberType = memberConsumer
		if m.Classic != nil {
			out.MemberType = memberClassic
		}
		g.Members = append(g.Members, out)
	}
}

// assignedTopics names the topics of an assignment. One that is gone cannot be named, and is
// left out.
func assignedTopics(image *cluster.Image, topics []group.TopicPartitions) (out []kmsg.AssignmentTopicPartition) {
	for _, t := range topics {
		if topic := image.TopicByID(cluster.TopicID(t.Topic)); topic != nil {
			tp := kmsg.NewAssignmentTopicPartition()
			tp.TopicID, tp.Topic, tp.Partitions = t.Topic, topic.Name, t.Partitions
			out = append(out, tp)
		}
	}
	return out
}
