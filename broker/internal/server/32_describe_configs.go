package server

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/config"
)

// DescribeConfigs (API key 32), versions 1–4 (KIP-133, KIP-226).
//
//	v1 sources and synonyms   v3 types and documentation (KIP-569)   v4 flexible
//
// Resources: topics, brokers (this one, or "" for what is set for all) and groups.
// Client metrics (KIP-714) are kept, and nothing takes the metrics. Broker loggers: see loggers.go.
func init() { register(32, 1, 4, (*Server).describeConfigs) }

func (s *Server) describeConfigs(r *Request, req *kmsg.DescribeConfigsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	image := s.cluster.Image()
	for i := range req.Resources {
		asked := &req.Resources[i]
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = asked.ResourceType, asked.ResourceName
		out.ErrorMessage = text("") // never null from Kafka
		if denied := s.onConfigs(r, acl.DescribeConfigs, asked.ResourceType, asked.ResourceName); denied != nil {
			out.ErrorCode, out.ErrorMessage = denied.Code, deniedText(denied)
			resp.Resources = append(resp.Resources, out)
			continue
		}
		if asked.ResourceType == kmsg.ConfigResourceTypeBrokerLogger {
			s.describeLoggers(asked, &out)
			resp.Resources = append(resp.Resources, out)
			continue
		}
		entries, code, message := s.configsOf(image, asked.ResourceType, asked.ResourceName)
		if code != 0 {
			out.ErrorCode, out.ErrorMessage = code, &message
		}
		for j := range entries {
			e := &entries[j]
			if len(asked.ConfigNames) > 0 && !slices.Contains(asked.ConfigNames, e.Def.Name) {
				continue
			}
			out.Configs = append(out.Configs, describedConfig(e, req))
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

// onConfigs asks for an operation on settings: those of brokers, of their loggers and of subscriptions belong to the cluster.
func (s *Server) onConfigs(r *Request, op acl.Operation, kind kmsg.ConfigResourceType, name string) *kerr.Error {
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
		return s.onTopic(r, op, name)
	case kmsg.ConfigResourceTypeGroupConfig:
		return s.onGroup(r, op, name)
	case kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger, kmsg.ConfigResourceTypeClientMetrics:
		return s.onCluster(r, op)
	}
	return nil // refused as unknown
}

// configsOf finds the settings of a resource, or says why there are none.
func (s *Server) configsOf(image *cluster.Image, kind kmsg.ConfigResourceType, name string) ([]config.Entry, int16, string) {
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
		if err := cluster.CheckTopicName(name); err != nil {
			return nil, kerr.InvalidTopicException.Code, err.Error()
		}
		t := image.Topic(name)
		if t == nil {
			return nil, kerr.UnknownTopicOrPartition.Code, ""
		}
		return image.TopicConfigs(t), 0, ""
	case kmsg.ConfigResourceTypeBroker:
		if name == "" {
			return image.BrokerConfigs(-1), 0, ""
		}
		id, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			return nil, kerr.InvalidRequest.Code, "Broker id must be an integer, but it is: " + name
		}
		if int32(id) != s.nodeID {
			return nil, kerr.InvalidRequest.Code, "Unexpected broker id, expected " + strconv.Itoa(int(s.nodeID)) + " or empty string, but received " + name
		}
		return image.BrokerConfigs(s.nodeID), 0, ""
	case kmsg.ConfigResourceTypeGroupConfig:
		if name == "" {
			return nil, kerr.InvalidRequest.Code, "Group name must not be empty"
		}
		return image.GroupConfigs(name), 0, ""
	case kmsg.ConfigResourceTypeClientMetrics:
		if name == "" {
			return nil, kerr.InvalidRequest.Code, "Client metrics subscription name must not be empty"
		}
		return image.ClientMetrics(name), 0, ""
	}
	return nil, kerr.InvalidRequest.Code, "Unsupported resource type: " + kind.String()
}

func describedConfig(e *config.Entry, req *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	out := kmsg.NewDescribeConfigsResponseResourceConfig()
	out.Name, out.Value = e.Def.Name, entryValue(e)
	out.ReadOnly = e.Def.Level() == config.BrokerLevel && e.Def.Update == config.ReadOnly
	out.IsSensitive = e.Def.Sensitive()
	out.Source = kmsg.ConfigSource(e.Source)
	out.ConfigType = kmsg.ConfigType(e.Def.Type)
	if req.IncludeDocumentation {
		out.Documentation = &e.Def.Doc
	}
	if req.IncludeSynonyms {
		for i := range e.Values {
			v := &e.Values[i]
			out.ConfigSynonyms = append(out.ConfigSynonyms, kmsg.DescribeConfigsResponseResourceConfigConfigSynonym{
				Name: v.Name, Value: &v.Value, Source: kmsg.ConfigSource(v.Source),
			})
		}
	}
	return out
}

// entryValue is the value as clients see it, null where there is none or it is secret.
func entryValue(e *config.Entry) *string {
	if e.Null || e.Def.Sensitive() {
		return nil
	}
	return &e.Value
}
