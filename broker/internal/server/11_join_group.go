package server

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/group"
)

// JoinGroup (API key 11), versions 0–9.
//
//	v1 rebalance timeout (KIP-62)   v2 throttle time   v4 member id required (KIP-394)
//	v5 group instance id (KIP-345)   v6 flexible (KIP-482)   v7 protocol type in the answer (KIP-559)
//	v8 reason (KIP-800)   v9 the leader may skip the assignment (KIP-814)
//
// Answered when all members have joined, or the rebalance time-out is over.
func init() { register(11, 0, 9, (*Server).joinGroup) }

func (s *Server) joinGroup(r *Request, req *kmsg.JoinGroupRequest) kmsg.Response {
	if denied := s.onGroup(r, acl.Read, req.Group); denied != nil {
		return refusedJoin(r.Version, denied)
	}
	in := group.Join{
		MemberID: strings.Clone(req.MemberID), InstanceID: strings.Clone(orEmpty(req.InstanceID)),
		ClientID: strings.Clone(r.ClientID), ClientHost: r.ClientHost,
		SessionTimeout: inMillis(req.SessionTimeoutMillis), RebalanceTimeout: inMillis(req.RebalanceTimeoutMillis),
		ProtocolType: strings.Clone(req.ProtocolType), Reason: strings.Clone(orEmpty(req.Reason)),
		RequireMemberID: r.Version >= 4, CanSkipAssignment: r.Version >= 9,
	}
	if r.Version == 0 {
		in.RebalanceTimeout = in.SessionTimeout
	}
	for _, p := range req.Protocols {
		in.Protocols = append(in.Protocols, group.Protocol{Name: strings.Clone(p.Name), Metadata: kept(p.Metadata)})
	}
	reply := s.groups.Join(r.Context(), strings.Clone(req.Group), in)

	resp := kmsg.NewPtrJoinGroupResponse()
	resp.ErrorCode, resp.MemberID, resp.Generation = groupCode(reply.Err), reply.MemberID, reply.Generation
	resp.ProtocolType, resp.Protocol = reply.ProtocolType, reply.Protocol
	if r.Version < 7 && resp.Protocol == nil {
		resp.Protocol = new(string)
	}
	resp.LeaderID, resp.SkipAssignment = reply.LeaderID, reply.SkipAssignment
	for _, m := range reply.Members {
		resp.Members = append(resp.Members, kmsg.JoinGroupResponseMember{
			MemberID: m.MemberID, InstanceID: orNull(m.InstanceID), ProtocolMetadata: m.Metadata,
		})
	}
	return resp
}

// refusedJoin is the answer to a client that may not join.
func refusedJoin(version int16, err *kerr.Error) kmsg.Response {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.ErrorCode, resp.Generation = err.Code, -1
	if version < 7 {
		resp.Protocol = new(string)
	}
	return resp
}
