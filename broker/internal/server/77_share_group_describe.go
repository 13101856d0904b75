package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/group"
)

// ShareGroupDescribe (API key 77), version 1 (KIP-932).
func init() { register(77, 1, 1, (*Server).shareGroupDescribe) }

func (s *Server) shareGroupDescribe(r *Request, req *kmsg.ShareGroupDescribeRequest) kmsg.Response {
	resp := kmsg.NewPtrShareGroupDescribeResponse()
	image := s.cluster.Image()
	for _, id := range req.GroupIDs {
		g := kmsg.NewShareGroupDescribeResponseGroup()
		g.GroupID = id
		if denied := s.onGroup(r, acl.Describe, id); denied != nil {
			g.ErrorCode = denied.Code
			resp.Groups = append(resp.Groups, g)
			continue
		}
		d, code, message := s.describeModern(id, group.Share)
		if code == 0 && s.hidesTopics(r, image, d) {
			code, message = kerr.TopicAuthorizationFailed.Code, text(hiddenTopics)
		}
		g.ErrorCode, g.ErrorMessage = code, message
		if code == 0 {
			describeShareGroup(image, &g, d)
			if req.IncludeAuthorizedOperations {
				g.AuthorizedOperations = s.operationsOn(r, acl.Group, id, groupOperations)
			}
		}
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

func describeShareGroup(image *cluster.Image, g *kmsg.ShareGroupDescribeResponseGroup, d group.Description) {
	g.GroupState, g.GroupEpoch, g.AssignmentEpoch, g.Assignor = d.State.String(), d.Modern.Epoch, d.Modern.AssignmentEpoch, d.Modern.Assignor
	for i := range d.Modern.Members {
		m := &d.Modern.Members[i]
		out := kmsg.NewShareGroupDescribeResponseGroupMember()
		out.MemberID, out.RackID, out.MemberEpoch, out.ClientID, out.ClientHost = m.ID, orNull(m.Rack), m.Epoch, m.ClientID, m.ClientHost
		out.SubscribedTopicNames = m.Topics
		for _, t := range m.Assigned {
			if topic := image.TopicByID(cluster.TopicID(t.Topic)); topic != nil {
				tp := kmsg.NewShareGroupDescribeResponseGroupMemberAssignmentTopicPartition()
				tp.TopicID, tp.Topic, tp.Partitions = t.Topic, topic.Name, t.Partitions
				out.Assignment.TopicPartitions = append(out.Assignment.TopicPartitions, tp)
			}
		}
		g.Members = append(g.Members, out)
	}
}
