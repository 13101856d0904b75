package server

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
)

// ListGroups (API key 16), versions 0–5.
//
//	v1 throttle time   v3 flexible (KIP-482)   v4 filter by state (KIP-518)   v5 filter by type (KIP-848)
//
// Filters ignore case; an unknown type or state matches nothing.
func init() { register(16, 0, 5, (*Server).listGroups) }

func (s *Server) listGroups(r *Request, req *kmsg.ListGroupsRequest) kmsg.Response {
	resp := kmsg.NewPtrListGroupsResponse()
	groups, err := s.groups.List()
	if err != nil {
		resp.ErrorCode = err.Code
		return resp
	}
	all := s.may(r, acl.Describe, acl.Cluster, acl.ClusterName)
	for _, g := range groups {
		if !all && !s.may(r, acl.Describe, acl.Group, g.ID) {
			continue
		}
		if !admits(req.StatesFilter, g.State.String()) || !admits(req.TypesFilter, g.Kind.String()) {
			continue
		}
		listed := kmsg.NewListGroupsResponseGroup()
		listed.Group, listed.ProtocolType, listed.GroupState, listed.GroupType = g.ID, g.ProtocolType, g.State.String(), g.Kind.String()
		resp.Groups = append(resp.Groups, listed)
	}
	return resp
}

// admits tells whether a filter, where there is one, has a value.
func admits(filter []string, value string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool {
		return strings.EqualFold(strings.TrimSpace(f), value)
	})
}
