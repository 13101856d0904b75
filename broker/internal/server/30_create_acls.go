package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// CreateAcls (API key 30), versions 1–3 (KIP-140): refused, as by a Kafka without an authorizer.
//
//	v2 flexible   v3 resources of type user (KIP-373)
func init() { register(30, 1, 3, (*Server).createACLs) }

func (s *Server) createACLs(_ *Request, req *kmsg.CreateACLsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreateACLsResponse)
	for range req.Creations {
		result := kmsg.NewCreateACLsResponseResult()
		result.ErrorCode, result.ErrorMessage = kerr.SecurityDisabled.Code, text(noAuthorizer+".")
		resp.Results = append(resp.Results, result)
	}
	return resp
}
