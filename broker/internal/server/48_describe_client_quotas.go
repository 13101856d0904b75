package server

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/quota"
)

// DescribeClientQuotas (API key 48), versions 0–1 (KIP-546, KIP-612).
//
//	v1 flexible
func init() { register(48, 0, 1, (*Server).describeClientQuotas) }

// How a filter's component matches.
const (
	matchExact     = 0
	matchDefault   = 1
	matchSpecified = 2 // any name, and the default
)

func (s *Server) describeClientQuotas(r *Request, req *kmsg.DescribeClientQuotasRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeClientQuotasResponse)
	if denied := s.onCluster(r, acl.DescribeConfigs); denied != nil {
		resp.ErrorCode, resp.ErrorMessage = denied.Code, deniedText(denied)
		return resp
	}
	filter, code, message := quotaFilter(req.Components)
	if code != nil {
		resp.ErrorCode, resp.ErrorMessage = code.Code, &message
		return resp
	}
	resp.ErrorMessage, resp.Entries = text(""), []kmsg.DescribeClientQuotasResponseEntry{} // as Kafka

	for _, q := range s.cluster.Image().Quotas() {
		if !quotaMatches(&q, filter, req.Strict) {
			continue
		}
		out := kmsg.NewDescribeClientQuotasResponseEntry()
		for _, p := range q.Parts {
			out.Entity = append(out.Entity, kmsg.DescribeClientQuotasResponseEntryEntity{Type: p.Type, Name: p.Name})
		}
		for _, k := range quota.Kinds() {
			if value, ok := q.Values[k.String()]; ok {
				out.Values = append(out.Values, kmsg.DescribeClientQuotasResponseEntryValue{Key: k.String(), Value: value})
			}
		}
		resp.Entries = append(resp.Entries, out)
	}
	return resp
}

// quotaFilter checks a filter and gives its components by type.
func quotaFilter(components []kmsg.DescribeClientQuotasRequestComponent) (map[string]kmsg.DescribeClientQuotasRequestComponent, *kerr.Error, string) {
	filter := map[string]kmsg.DescribeClientQuotasRequestComponent{}
	for _, c := range components {
		if c.EntityType == "" {
			return nil, kerr.InvalidRequest, "Invalid empty entity type."
		}
		if _, twice := filter[c.EntityType]; twice {
			return nil, kerr.InvalidRequest, "Entity type " + c.EntityType + " cannot appear more than once in the filter."
		}
		if c.EntityType != "ip" && c.EntityType != "user" && c.EntityType != "client-id" {
			return nil, kerr.UnsupportedVersion, "Unsupported entity type " + c.EntityType
		}
		switch c.MatchType {
		case matchExact:
			if c.Match == nil {
				return nil, kerr.InvalidRequest, "Request specified MATCH_TYPE_EXACT, but set match string to null."
			}
		case matchDefault:
			if c.Match != nil {
				return nil, kerr.InvalidRequest, "Request specified MATCH_TYPE_DEFAULT, but also specified a match string."
			}
		case matchSpecified:
			if c.Match != nil {
				return nil, kerr.InvalidRequest, "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string."
			}
		default:
			return nil, kerr.InvalidRequest, fmt.Sprintf("Unknown match type %d", c.MatchType)
		}
		filter[c.EntityType] = c
	}
	if _, ip := filter["ip"]; ip && len(filter) > 1 {
		return nil, kerr.InvalidRequest, "Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component."
	}
	return filter, nil, ""
}

func quotaMatches(q *cluster.Quota, filter map[string]kmsg.DescribeClientQuotasRequestComponent, strict bool) bool {
	if strict && len(q.Parts) != len(filter) {
		return false
	}
	found := 0
	for _, p := range q.Parts {
		c, asked := filter[p.Type]
		switch {
		case !asked:
			continue
		case c.MatchType == matchExact && (p.Name == nil || *p.Name != *c.Match), c.MatchType == matchDefault && p.Name != nil:
			return false
		}
		found++
	}
	return found == len(filter)
}
