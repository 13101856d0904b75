package server

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/cluster"
)

// AlterConfigs (API key 33), versions 0–2 (KIP-133). What the request does not name
// goes back to its default; IncrementalAlterConfigs (44) is the one to use.
//
//	v2 flexible
func init() { register(33, 0, 2, (*Server).alterConfigs) }

func (s *Server) alterConfigs(r *Request, req *kmsg.AlterConfigsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	changes := make([]alteration, len(req.Resources))
	for i := range req.Resources {
		asked := &req.Resources[i]
		ops := make([]cluster.ConfigOp, len(asked.Configs))
		for j := range asked.Configs {
			ops[j] = cluster.ConfigOp{Name: asked.Configs[j].Name, Op: cluster.OpSet, Value: asked.Configs[j].Value}
		}
		changes[i] = alteration{kind: asked.ResourceType, name: asked.ResourceName, ops: ops, replace: true}
	}
	for i, a := range s.alter(r, changes, req.ValidateOnly) {
		out := kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = changes[i].kind, changes[i].name
		out.ErrorCode, out.ErrorMessage = a.code, a.message
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}
