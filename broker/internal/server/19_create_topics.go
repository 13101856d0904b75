package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
)

// CreateTopics (API key 19), versions 2–7.
//
//	v1 validate only, messages   v4 -1 asks for the broker's defaults (KIP-464)
//	v5 answers the configuration (KIP-525), flexible   v6 quota errors   v7 topic ids
//
// Left out: the timeout: when the answer is sent, the topic is on disk.
func init() { register(19, 2, 7, (*Server).createTopics) }

func (s *Server) createTopics(r *Request, req *kmsg.CreateTopicsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	resp.Topics = make([]kmsg.CreateTopicsResponseTopic, 0, len(req.Topics))
	twice := duplicates(req.Topics, func(t *kmsg.CreateTopicsRequestTopic) string { return t.Topic })
	answered := make(map[string]bool, len(twice))

	anyTopic := s.may(r, acl.Create, acl.Cluster, acl.ClusterName)
	var wanted []cluster.NewTopic
	var places []int // of wanted topics in the response
	for i := range req.Topics {
		t := &req.Topics[i]
		if answered[t.Topic] {
			continue
		}
		out := kmsg.NewCreateTopicsResponseTopic()
		out.Topic, out.NumPartitions, out.ReplicationFactor = t.Topic, -1, -1
		out.Configs = []kmsg.CreateTopicsResponseTopicConfig{} // Java clients fall over null
		if twice[t.Topic] {
			answered[t.Topic] = true
			out.ErrorCode, out.ErrorMessage = kerr.InvalidRequest.Code, text("Duplicate topic name.")
		} else if !anyTopic && !s.may(r, acl.Create, acl.Topic, t.Topic) {
			out.ErrorCode, out.ErrorMessage = kerr.TopicAuthorizationFailed.Code, text("Authorization failed.")
		} else {
			wanted = append(wanted, newTopic(t))
			places = append(places, len(resp.Topics))
		}
		resp.Topics = append(resp.Topics, out)
	}

	if timedOut(req.TimeoutMillis) {
		for _, i := range places {
			resp.Topics[i].ErrorCode, resp.Topics[i].ErrorMessage = codeAndText(kerr.RequestTimedOut)
		}
		return resp
	}
	results := s.cluster.CreateTopics(r.Context(), wanted, req.ValidateOnly, s.payment(r, 6))
	image := s.cluster.Image()
	for i, result := range results {
		out := &resp.Topics[places[i]]
		if out.ErrorCode, out.ErrorMessage = s.refusal(result.Err, "create topic", out.Topic); out.ErrorCode != 0 {
			continue
		}
		t := result.Topic
		out.TopicID = t.ID
		if denied := s.onTopic(r, acl.DescribeConfigs, t.Name); denied != nil {
			out.ConfigErrorCode = denied.Code
			continue
		}
		out.NumPartitions, out.ReplicationFactor = int32(len(t.Partitions)), int16(len(t.Partitions[0].Replicas))
		if r.Version >= 5 {
			out.Configs = createdConfigs(image, t)
		}
	}
	return resp
}

func newTopic(t *kmsg.CreateTopicsRequestTopic) cluster.NewTopic {
	n := cluster.NewTopic{Name: t.Topic, Partitions: t.NumPartitions, ReplicationFactor: t.ReplicationFactor}
	for i := range t.ReplicaAssignment {
		a := &t.ReplicaAssignment[i]
		n.Assignment = append(n.Assignment, cluster.Assignment{Partition: a.Partition, Replicas: a.Replicas})
	}
	if len(t.Configs) > 0 {
		n.Set = make(map[string]*string, len(t.Configs))
		for i := range t.Configs {
			n.Set[t.Configs[i].Name] = t.Configs[i].Value
		}
	}
	return n
}

func createdConfigs(image *cluster.Image, t *cluster.Topic) []kmsg.CreateTopicsResponseTopicConfig {
	entries := image.TopicConfigs(t)
	out := make([]kmsg.CreateTopicsResponseTopicConfig, len(entries))
	for i := range entries {
		e := &entries[i]
		out[i] = kmsg.CreateTopicsResponseTopicConfig{
			Name: e.Def.Name, Value: entryValue(e), ReadOnly: false,
			Source: int8(e.Source), IsSensitive: e.Def.Sensitive(),
		}
	}
	return out
}
