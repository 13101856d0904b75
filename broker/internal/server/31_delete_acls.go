package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteAcls (API key 31), versions 1–3 (KIP-140): refused, as by a Kafka without an authorizer.
//
//	v2 flexible   v3 resources of type user (KIP-373)
func init() { register(31, 1, 3, (*Server).deleteACLs) }

func (s *Server) deleteACLs(_ *Request, req *kmsg.DeleteACLsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DeleteACLsResponse)
	for range req.Filters {
		result := kmsg.NewDeleteACLsResponseResult()
		result.ErrorCode, result.ErrorMessage = kerr.SecurityDisabled.Code, text(noAuthorizer+".")
		resp.Results = append(resp.Results, result)
	}
	return resp
}
