package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
)

// DeleteAcls (API key 31), versions 1–3 (KIP-140, KIP-290).
//
//	v2 flexible   v3 resources of type user (KIP-373)
func init() { register(31, 1, 3, (*Server).deleteACLs) }

func (s *Server) deleteACLs(r *Request, req *kmsg.DeleteACLsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DeleteACLsResponse)
	resp.Results = make([]kmsg.DeleteACLsResponseResult, len(req.Filters))
	refuse := func(code *kerr.Error, message *string) kmsg.Response {
		for i := range resp.Results {
			resp.Results[i].ErrorCode, resp.Results[i].ErrorMessage = code.Code, message
		}
		return resp
	}
	if s.authorizer == nil {
		return refuse(kerr.SecurityDisabled, text(noAuthorizer+"."))
	}
	if denied := s.onCluster(r, acl.Alter); denied != nil {
		return refuse(denied, deniedText(denied))
	}
	var filters []acl.Filter
	var places []int
	for i := range req.Filters {
		f := &req.Filters[i]
		filter := acl.Filter{
			Type: acl.ResourceType(f.ResourceType), Name: f.ResourceName, Pattern: acl.Pattern(f.ResourcePatternType),
			Principal: f.Principal, Host: f.Host, Operation: acl.Operation(f.Operation), Permission: acl.Permission(f.PermissionType),
		}
		if err := filter.Check(); err != nil {
			resp.Results[i].ErrorCode, resp.Results[i].ErrorMessage = kerr.InvalidRequest.Code, text(err.Error())
			continue
		}
		filters, places = append(filters, filter), append(places, i)
	}
	deleted, err := s.cluster.DeleteACLs(r.Context(), filters)
	for n, bindings := range deleted {
		result := &resp.Results[places[n]]
		if result.ErrorCode, result.ErrorMessage = s.refusal(err, "delete ACLs", ""); err != nil {
			continue
		}
		for _, b := range bindings {
			m := kmsg.NewDeleteACLsResponseResultMatchingACL()
			m.ResourceType, m.ResourceName, m.ResourcePatternType = kmsg.ACLResourceType(b.Type), b.Name, kmsg.ACLResourcePatternType(b.Pattern)
			m.Principal, m.Host, m.Operation, m.PermissionType = b.Principal, b.Host, kmsg.ACLOperation(b.Operation), kmsg.ACLPermissionType(b.Permission)
			result.MatchingACLs = append(result.MatchingACLs, m)
		}
	}
	return resp
}
