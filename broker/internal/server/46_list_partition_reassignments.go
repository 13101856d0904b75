package server

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
)

// ListPartitionReassignments (API key 46), version 0 (KIP-455).
//
// With one node no replica has anywhere to move to: the list is empty, whatever was
// asked for.
func init() { register(46, 0, 0, (*Server).listPartitionReassignments) }

func (s *Server) listPartitionReassignments(r *Request, req *kmsg.ListPartitionReassignmentsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	if denied := s.onCluster(r, acl.Describe); denied != nil {
		resp.ErrorCode, resp.ErrorMessage = denied.Code, deniedText(denied)
	}
	return resp
}
