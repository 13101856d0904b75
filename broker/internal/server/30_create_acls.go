package server

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
)

// CreateAcls (API key 30), versions 1–3 (KIP-140, KIP-290). A binding that is there already is made once more without
// an error.
//
//	v2 flexible   v3 resources of type user (KIP-373)
func init() { register(30, 1, 3, (*Server).createACLs) }

func (s *Server) createACLs(r *Request, req *kmsg.CreateACLsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreateACLsResponse)
	resp.Results = make([]kmsg.CreateACLsResponseResult, len(req.Creations))
	if s.authorizer == nil {
		for i := range resp.Results {
			resp.Results[i].ErrorCode, resp.Results[i].ErrorMessage = kerr.SecurityDisabled.Code, text(noAuthorizer+".")
		}
		return resp
	}
	if denied := s.onCluster(r, acl.Alter); denied != nil {
		for i := range resp.Results {
			resp.Results[i].ErrorCode, resp.Results[i].ErrorMessage = denied.Code, deniedText(denied)
		}
		return resp
	}
	var bindings []acl.Binding
	var places []int
	for i := range req.Creations {
		c := &req.Creations[i]
		b := acl.Binding{
			Type: acl.ResourceType(c.ResourceType), Name: strings.Clone(c.ResourceName), Pattern: acl.Pattern(c.ResourcePatternType),
			Principal: strings.Clone(c.Principal), Host: strings.Clone(c.Host), Operation: acl.Operation(c.Operation), Permission: acl.Permission(c.PermissionType),
		}
		if b.ForFilters() {
			resp.Results[i].ErrorCode = kerr.UnknownServerError.Code // as Kafka, which has no other for it
			continue
		}
		bindings, places = append(bindings, b), append(places, i)
	}
	for n, err := range s.cluster.CreateACLs(r.Context(), bindings) {
		result := &resp.Results[places[n]]
		result.ErrorCode, result.ErrorMessage = s.refusal(err, "create ACL", "")
	}
	return resp
}
