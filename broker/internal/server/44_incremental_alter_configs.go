package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
)

// IncrementalAlterConfigs (API key 44), versions 0–1 (KIP-339).
//
//	v1 flexible
//
// Resources: topics, brokers (this one, or "" for all), groups, subscriptions to metrics of
// clients (KIP-714), and the levels of this broker's loggers (KIP-412).
func init() { register(44, 0, 1, (*Server).incrementalAlterConfigs) }

func (s *Server) incrementalAlterConfigs(r *Request, req *kmsg.IncrementalAlterConfigsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	changes := make([]alteration, len(req.Resources))
	for i := range req.Resources {
		asked := &req.Resources[i]
		ops := make([]cluster.ConfigOp, len(asked.Configs))
		for j := range asked.Configs {
			c := &asked.Configs[j]
			ops[j] = cluster.ConfigOp{Name: c.Name, Op: cluster.Op(c.Op), Value: c.Value}
		}
		changes[i] = alteration{kind: asked.ResourceType, name: asked.ResourceName, ops: ops}
	}
	for i, a := range s.alter(r, changes, req.ValidateOnly) {
		out := kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = changes[i].kind, changes[i].name
		out.ErrorCode, out.ErrorMessage = a.code, a.message
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

// alteration is what a request wants of one resource.
type alteration struct {
	kind    kmsg.ConfigResourceType
	name    string
	ops     []cluster.ConfigOp
	replace bool
}

// outcome is the answer to one.
type outcome struct {
	code    int16
	message *string
}

var resources = map[kmsg.ConfigResourceType]cluster.Resource{
	kmsg.ConfigResourceTypeTopic:         cluster.TopicResource,
	kmsg.ConfigResourceTypeBroker:        cluster.BrokerResource,
	kmsg.ConfigResourceTypeGroupConfig:   cluster.GroupResource,
	kmsg.ConfigResourceTypeClientMetrics: cluster.ClientMetricsResource,
}

// alter carries out what can be, and answers in the order asked.
func (s *Server) alter(r *Request, asked []alteration, validateOnly bool) []outcome {
	type key struct {
		kind kmsg.ConfigResourceType
		name string
	}
	out := make([]outcome, len(asked))
	twice := duplicates(asked, func(a *alteration) key { return key{a.kind, a.name} })
	var changes []cluster.ConfigChange
	var places []int
	for i := range asked {
		a := &asked[i]
		resource, known := resources[a.kind]
		denied := s.onConfigs(r, acl.AlterConfigs, a.kind, a.name)
		switch {
		case twice[key{a.kind, a.name}]:
			out[i] = outcome{kerr.InvalidRequest.Code, text("Each resource must appear at most once.")}
		case a.kind == kmsg.ConfigResourceTypeBrokerLogger && a.replace:
			out[i] = outcome{kerr.InvalidRequest.Code, text("Unknown resource type 8")}
		case !known && a.kind != kmsg.ConfigResourceTypeBrokerLogger:
			out[i] = outcome{kerr.InvalidRequest.Code, text("Unsupported resource type: " + a.kind.String())}
		case a.kind == kmsg.ConfigResourceTypeTopic && a.name == "":
			out[i] = outcome{kerr.InvalidRequest.Code, text("Default topic resources are not allowed.")}
		case len(duplicates(a.ops, func(o *cluster.ConfigOp) string { return o.Name })) > 0:
			out[i] = outcome{kerr.InvalidRequest.Code, text("Error due to duplicate config keys")}
		case denied != nil:
			out[i] = outcome{denied.Code, deniedText(denied)}
		case a.kind == kmsg.ConfigResourceTypeBrokerLogger:
			out[i] = s.alterLoggers(a, validateOnly)
		default:
			changes = append(changes, cluster.ConfigChange{Resource: resource, Name: a.name, Ops: a.ops, Replace: a.replace})
			places = append(places, i)
		}
	}
	for i, err := range s.cluster.AlterConfigs(r.Context(), changes, validateOnly) {
		o := &out[places[i]]
		o.code, o.message = s.refusal(err, "alter configuration", changes[i].Name)
	}
	return out
}
