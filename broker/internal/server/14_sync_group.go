package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/group"
)

// SyncGroup (API key 14), versions 0–5.
//
//	v1 throttle time   v3 group instance id (KIP-345)   v4 flexible (KIP-482)
//	v5 protocol type and name, which have to be right (KIP-559)
//
// Answered when the leader's assignment is durable.
func init() { register(14, 0, 5, (*Server).syncGroup) }

func (s *Server) syncGroup(r *Request, req *kmsg.SyncGroupRequest) kmsg.Response {
	resp := kmsg.NewPtrSyncGroupResponse()
	in := group.Sync{MemberID: req.MemberID, InstanceID: orEmpty(req.InstanceID), Generation: req.Generation}
	if r.Version >= 5 {
		if req.ProtocolType == nil || req.Protocol == nil {
			resp.ErrorCode = kerr.InconsistentGroupProtocol.Code
			return resp
		}
		in.ProtocolType, in.Protocol = req.ProtocolType, req.Protocol
	}
	if denied := s.onGroup(r, acl.Read, req.Group); denied != nil {
		resp.ErrorCode = denied.Code
		return resp
	}
	for _, a := range req.GroupAssignment {
		in.Assignments = append(in.Assignments, group.Assignment{MemberID: a.MemberID, Data: kept(a.MemberAssignment)})
	}
	reply := s.groups.Sync(r.Context(), req.Group, in)
	resp.ErrorCode, resp.MemberAssignment = groupCode(reply.Err), reply.Assignment
	resp.ProtocolType, resp.Protocol = reply.ProtocolType, reply.Protocol
	return resp
}
