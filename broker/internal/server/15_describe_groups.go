package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/group"
)

// DescribeGroups (API key 15), versions 0–6.
//
//	v1 throttle time   v3 authorized operations (KIP-430)   v4 group instance id (KIP-345)
//	v5 flexible (KIP-482)   v6 GROUP_ID_NOT_FOUND and message (KIP-1043)
//
// A group that does not exist, or whose members the broker assigns to (69, 77), is Dead; before version 6 that is not an error.
func init() { register(15, 0, 6, (*Server).describeGroups) }

func (s *Server) describeGroups(r *Request, req *kmsg.DescribeGroupsRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeGroupsResponse()
	resp.Groups = make([]kmsg.DescribeGroupsResponseGroup, 0, len(req.Groups))
	for _, id := range req.Groups {
		g := kmsg.NewDescribeGroupsResponseGroup()
		g.Group = id
		if denied := s.onGroup(r, acl.Describe, id); denied != nil {
			g.ErrorCode = denied.Code
			resp.Groups = append(resp.Groups, g)
			continue
		}
		d, found, err := s.groups.Describe(id)
		switch {
		case err != nil:
			g.ErrorCode = err.Code
		case !found, d.Kind != group.Classic:
			g.State = group.Dead.String()
			if r.Version >= 6 {
				g.ErrorCode = kerr.GroupIDNotFound.Code
				g.ErrorMessage = orNull("Group " + id + " not found.")
				if found {
					g.ErrorMessage = orNull("Group " + id + " is not a classic group.")
				}
			}
		default:
			describeGroup(&g, d)
		}
		if g.ErrorCode == 0 && req.IncludeAuthorizedOperations {
			g.AuthorizedOperations = s.operationsOn(r, acl.Group, id, groupOperations)
		}
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

func describeGroup(g *kmsg.DescribeGroupsResponseGroup, d group.Description) {
	g.State, g.ProtocolType, g.Protocol = d.State.String(), d.ProtocolType, d.Protocol
	for _, m := range d.Members {
		g.Members = append(g.Members, kmsg.DescribeGroupsResponseGroupMember{
			MemberID: m.MemberID, InstanceID: orNull(m.InstanceID), ClientID: m.ClientID, ClientHost: m.ClientHost,
			ProtocolMetadata: m.Subscription, MemberAssignment: m.Assignment,
		})
	}
}
