package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
)

// DescribeAcls (API key 29), versions 1–3 (KIP-140, KIP-290).
//
//	v2 flexible   v3 resources of type user (KIP-373)
func init() { register(29, 1, 3, (*Server).describeACLs) }

// noAuthorizer is what Kafka says where authorizer.class.name is not set, which is its default too. Each of the
// three requests ends it in its own way.
const noAuthorizer = "No Authorizer is configured"

func (s *Server) describeACLs(r *Request, req *kmsg.DescribeACLsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeACLsResponse)
	if s.authorizer == nil {
		resp.ErrorCode, resp.ErrorMessage = kerr.SecurityDisabled.Code, text(noAuthorizer+" on the broker")
		return resp
	}
	if denied := s.onCluster(r, acl.Describe); denied != nil {
		resp.ErrorCode, resp.ErrorMessage = denied.Code, deniedText(denied)
		return resp
	}
	filter := acl.Filter{
		Type: acl.ResourceType(req.ResourceType), Name: req.ResourceName, Pattern: acl.Pattern(req.ResourcePatternType),
		Principal: req.Principal, Host: req.Host, Operation: acl.Operation(req.Operation), Permission: acl.Permission(req.PermissionType),
	}
	for _, b := range s.cluster.Image().Rules().Bindings() { // of one resource together
		if !filter.Matches(b) {
			continue
		}
		n := len(resp.Resources)
		if n == 0 || resp.Resources[n-1].ResourceName != b.Name || int8(resp.Resources[n-1].ResourceType) != int8(b.Type) || int8(resp.Resources[n-1].ResourcePatternType) != int8(b.Pattern) {
			resource := kmsg.NewDescribeACLsResponseResource()
			resource.ResourceType, resource.ResourceName, resource.ResourcePatternType = kmsg.ACLResourceType(b.Type), b.Name, kmsg.ACLResourcePatternType(b.Pattern)
			resp.Resources = append(resp.Resources, resource)
			n++
		}
		entry := kmsg.NewDescribeACLsResponseResourceACL()
		entry.Principal, entry.Host, entry.Operation, entry.PermissionType = b.Principal, b.Host, kmsg.ACLOperation(b.Operation), kmsg.ACLPermissionType(b.Permission)
		resp.Resources[n-1].ACLs = append(resp.Resources[n-1].ACLs, entry)
	}
	return resp
}
