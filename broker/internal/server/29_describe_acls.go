package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeAcls (API key 29), versions 1–3 (KIP-140): refused, as by a Kafka without an authorizer.
//
//	v2 flexible   v3 resources of type user (KIP-373)
func init() { register(29, 1, 3, (*Server).describeACLs) }

// noAuthorizer is what Kafka says where authorizer.class.name is not set, which is its default too. Each of the
// three requests ends it in its own way.
const noAuthorizer = "No Authorizer is configured"

func (s *Server) describeACLs(_ *Request, req *kmsg.DescribeACLsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeACLsResponse)
	resp.ErrorCode, resp.ErrorMessage = kerr.SecurityDisabled.Code, text(noAuthorizer+" on the broker")
	return resp
}
