package server

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/group"
)

// LeaveGroup (API key 13), versions 0–5.
//
//	v1 throttle time   v3 several members, by instance id too (KIP-345)   v4 flexible (KIP-482)
//	v5 reason (KIP-800)
func init() { register(13, 0, 5, (*Server).leaveGroup) }

func (s *Server) leaveGroup(r *Request, req *kmsg.LeaveGroupRequest) kmsg.Response {
	resp := kmsg.NewPtrLeaveGroupResponse()
	if denied := s.onGroup(r, acl.Read, req.Group); denied != nil {
		resp.ErrorCode = denied.Code
		return resp
	}
	if r.Version < 3 {
		reply := s.groups.Leave(r.Context(), req.Group, []group.Leaving{{MemberID: req.MemberID}})
		if resp.ErrorCode = groupCode(reply.Err); len(reply.Members) == 1 {
			resp.ErrorCode = groupCode(reply.Members[0])
		}
		return resp
	}
	members := make([]group.Leaving, len(req.Members))
	for i, m := range req.Members {
		members[i] = leaving(m.MemberID, m.InstanceID, m.Reason)
	}
	reply := s.groups.Leave(r.Context(), req.Group, members)
	if resp.ErrorCode = groupCode(reply.Err); resp.ErrorCode != 0 {
		return resp
	}
	for i, m := range req.Members {
		resp.Members = append(resp.Members, kmsg.LeaveGroupResponseMember{
			MemberID: m.MemberID, InstanceID: m.InstanceID, ErrorCode: groupCode(reply.Members[i]),
		})
	}
	return resp
}
