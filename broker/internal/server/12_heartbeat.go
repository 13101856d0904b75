package server

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/group"
)

// Heartbeat (API key 12), versions 0–4.
//
//	v1 throttle time   v3 group instance id (KIP-345)   v4 flexible (KIP-482)
//
// The answer tells a member of a rebalance: REBALANCE_IN_PROGRESS.
func init() { register(12, 0, 4, (*Server).heartbeat) }

func (s *Server) heartbeat(r *Request, req *kmsg.HeartbeatRequest) kmsg.Response {
	resp := kmsg.NewPtrHeartbeatResponse()
	if denied := s.onGroup(r, acl.Read, req.Group); denied != nil {
		resp.ErrorCode = denied.Code
		return resp
	}
	resp.ErrorCode = groupCode(s.groups.Heartbeat(r.Context(), req.Group, group.Heartbeat{
		MemberID: req.MemberID, InstanceID: orEmpty(req.InstanceID), Generation: req.Generation,
	}))
	return resp
}
