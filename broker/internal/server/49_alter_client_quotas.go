package server

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
)

// AlterClientQuotas (API key 49), versions 0–1 (KIP-546, KIP-612).
//
//	v1 flexible
func init() { register(49, 0, 1, (*Server).alterClientQuotas) }

func (s *Server) alterClientQuotas(r *Request, req *kmsg.AlterClientQuotasRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AlterClientQuotasResponse)
	changes := make([]cluster.QuotaChange, len(req.Entries))
	for i := range req.Entries {
		asked := &req.Entries[i]
		changes[i].Parts = entityParts(asked.Entity)
		for _, op := range asked.Ops {
			change := cluster.QuotaOp{Key: op.Key, Value: &op.Value}
			if op.Remove {
				change.Value = nil
			}
			changes[i].Ops = append(changes[i].Ops, change)
		}
	}
	if denied := s.onCluster(r, acl.AlterConfigs); denied != nil {
		for i := range req.Entries {
			out := kmsg.NewAlterClientQuotasResponseEntry()
			out.ErrorCode, out.ErrorMessage = denied.Code, deniedText(denied)
			for _, p := range changes[i].Parts {
				out.Entity = append(out.Entity, kmsg.AlterClientQuotasResponseEntryEntity{Type: p.Type, Name: p.Name})
			}
			resp.Entries = append(resp.Entries, out)
		}
		return resp
	}
	answered := map[string]bool{} // an entity that was named twice is answered once
	for i, err := range s.cluster.AlterQuotas(r.Context(), changes, req.ValidateOnly) {
		key := ""
		for _, p := range changes[i].Parts {
			key += fmt.Sprintf("%q %v %q ", p.Type, p.Name == nil, nameOr(p.Name))
		}
		if answered[key] {
			continue
		}
		answered[key] = true
		out := kmsg.NewAlterClientQuotasResponseEntry()
		out.ErrorCode, out.ErrorMessage = s.refusal(err, "alter client quotas", "")
		for _, p := range changes[i].Parts {
			out.Entity = append(out.Entity, kmsg.AlterClientQuotasResponseEntryEntity{Type: p.Type, Name: p.Name})
		}
		resp.Entries = append(resp.Entries, out)
	}
	return resp
}

// entityParts are an entity's parts in order of type; what is named last of a type counts.
func entityParts(asked []kmsg.AlterClientQuotasRequestEntryEntity) []cluster.QuotaPart {
	byType := make(map[string]cluster.QuotaPart, len(asked))
	for _, p := range asked {
		byType[p.Type] = cluster.QuotaPart{Type: p.Type, Name: p.Name}
	}
	return slices.SortedFunc(maps.Values(byType), func(a, b cluster.QuotaPart) int { return cmp.Compare(a.Type, b.Type) })
}
