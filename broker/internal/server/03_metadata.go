package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
)

// Metadata (API key 3), versions 0–13.
//
//	v1 null asks for all topics, rack, controller   v2 cluster id   v3 throttle time
//	v4 allow auto-creation (before: always)   v5 offline replicas   v7 leader epoch (KIP-320)
//	v8 authorized operations (KIP-430)   v9 flexible (KIP-482)   v10 topic ids (KIP-516)
//	v11 no cluster operations (KIP-700)   v12 topics by id   v13 error for rebootstrap (KIP-1102)
//
// A topic is created only for a client that names it and allows it. The answer is
// UNKNOWN_TOPIC_OR_PARTITION all the same, as Kafka's is, and the client asks again: there are
// clients that name a topic to see whether it is gone.
func init() { register(3, 0, 13, (*Server).metadata) }

func (s *Server) metadata(r *Request, req *kmsg.MetadataRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	image := s.cluster.Image()
	all := req.Topics == nil || r.Version == 0 && len(req.Topics) == 0
	var refused map[string]int16
	if !all {
		refused = s.autoCreate(r, req, image)
	}

	for _, b := range image.Brokers() {
		e, ok := endpoint(r, b, s.nodeID)
		if !ok {
			continue // not reachable by this listener
		}
		broker := kmsg.NewMetadataResponseBroker()
		broker.NodeID, broker.Host, broker.Port = b.ID, e.Host, e.Port
		if b.Rack != "" {
			broker.Rack = &b.Rack
		}
		resp.Brokers = append(resp.Brokers, broker)
	}
	resp.ClusterID = &s.clusterID
	resp.ControllerID = image.ControllerID()
	resp.AuthorizedOperations = notAsked
	if req.IncludeClusterAuthorizedOperations && r.Version <= 10 {
		resp.AuthorizedOperations = s.operationsOnCluster(r)
	}
	operations := func(topic string) int32 {
		if !req.IncludeTopicAuthorizedOperations {
			return notAsked
		}
		return s.operationsOn(r, acl.Topic, topic, topicOperations)
	}

	if all {
		resp.Topics = make([]kmsg.MetadataResponseTopic, 0, image.TopicCount())
		for t := range image.Topics() {
			if s.may(r, acl.Describe, acl.Topic, t.Name) { // others are not there
				resp.Topics = append(resp.Topics, metadataTopic(image, t, operations(t.Name)))
			}
		}
		return resp
	}
	resp.Topics = s.metadataOf(r, req, image, operations, refused)
	return resp
}

// endpoint is the address of a broker for clients that came in by the listener of r.
func endpoint(r *Request, b *cluster.Broker, self int32) (cluster.Endpoint, bool) {
	if b.ID == self {
		return cluster.Endpoint{Listener: r.Listener.Name, Host: r.Listener.AdvertisedHost, Port: r.Listener.AdvertisedPort}, true
	}
	return b.Endpoint(r.Listener.Name)
}

// metadataOf answers for the topics that the request names, each once.
func (s *Server) metadataOf(r *Request, req *kmsg.MetadataRequest, image *cluster.Image, operations func(topic string) int32, refused map[string]int16) []kmsg.MetadataResponseTopic {
	byID := false
	for i := range req.Topics {
		byID = byID || req.Topics[i].TopicID != [16]byte{}
	}
	topics := make([]kmsg.MetadataResponseTopic, 0, len(req.Topics))
	seen := make(map[string]bool, len(req.Topics))
	for i := range req.Topics {
		asked := &req.Topics[i]
		t := kmsg.NewMetadataResponseTopic()
		t.AuthorizedOperations = notAsked
		switch {
		case byID && r.Version < 12:
			// The field exists from v10 on, to be used from v12 on.
			t.Topic, t.TopicID, t.ErrorCode = text(nameOr(asked.Topic)), asked.TopicID, kerr.InvalidRequest.Code
		case byID && asked.TopicID == [16]byte{}:
			continue // by id or by name, not both
		case byID:
			if found := image.TopicByID(asked.TopicID); found != nil {
				if denied := s.onTopic(r, acl.Describe, found.Name); denied != nil {
					t.TopicID, t.ErrorCode = asked.TopicID, denied.Code // an id is no secret
					break
				}
				t = metadataTopic(image, found, operations(found.Name))
			} else {
				t.TopicID, t.ErrorCode = asked.TopicID, kerr.UnknownTopicID.Code
			}
		case seen[nameOr(asked.Topic)]:
			continue
		default:
			name := nameOr(asked.Topic)
			seen[name] = true
			if denied := s.onTopic(r, acl.Describe, name); denied != nil { // whether or not it is there
				t.Topic, t.ErrorCode = &name, denied.Code
				break
			}
			if found := image.Topic(name); found != nil {
				t = metadataTopic(image, found, operations(name))
				break
			}
			t.Topic, t.ErrorCode = &name, kerr.UnknownTopicOrPartition.Code
			t.IsInternal = cluster.IsInternal(name)
			t.AuthorizedOperations = operations(name) // of a name, whether or not it is there
			if !cluster.ValidTopicName(name) {
				t.ErrorCode = kerr.InvalidTopicException.Code
			}
			if code := refused[name]; code != 0 {
				t.ErrorCode = code
			}
		}
		topics = append(topics, t)
	}
	return topics
}

func nameOr(name *string) string {
	if name == nil {
		return ""
	}
	return *name
}

// autoCreate creates the topics that the request names and that are not there, if the
// client and the broker allow it. It returns the error codes of those that could not be.
func (s *Server) autoCreate(r *Request, req *kmsg.MetadataRequest, image *cluster.Image) map[string]int16 {
	allowed := req.AllowAutoTopicCreation || r.Version < 4
	if !allowed || !image.Config.AutoCreateTopicsEnable {
		return nil
	}
	refused := map[string]int16{}
	var missing []cluster.NewTopic
	for i := range req.Topics {
		asked := &req.Topics[i]
		if asked.TopicID != [16]byte{} || asked.Topic == nil || image.Topic(*asked.Topic) != nil || !cluster.ValidTopicName(*asked.Topic) {
			continue
		}
		if s.onTopic(r, acl.Describe, *asked.Topic) != nil {
			continue
		}
		if s.onCluster(r, acl.Create) != nil {
			if denied := s.onTopic(r, acl.Create, *asked.Topic); denied != nil {
				refused[*asked.Topic] = denied.Code
				continue
			}
		}
		if cluster.IsInternal(*asked.Topic) {
			missing = append(missing, image.InternalTopic(*asked.Topic))
		} else {
			missing = append(missing, cluster.NewTopic{Name: *asked.Topic, Partitions: -1, ReplicationFactor: -1})
		}
	}
	if len(missing) == 0 {
		return refused
	}
	for i, result := range s.cluster.CreateTopics(r.Context(), missing, false, s.payment(r, 0)) {
		code, _ := s.refusal(result.Err, "create topic", missing[i].Name)
		switch code {
		case 0, kerr.TopicAlreadyExists.Code: // somebody else was quicker
			continue
		case kerr.ThrottlingQuotaExceeded.Code:
			code = kerr.UnknownTopicOrPartition.Code // the client asks again
		case kerr.PolicyViolation.Code:
			// Kafka has no code for it here that clients would not retry for ever.
			code = kerr.InvalidPartitions.Code
		}
		refused[missing[i].Name] = code
	}
	return refused
}

func metadataTopic(image *cluster.Image, t *cluster.Topic, operations int32) kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = &t.Name, t.ID, t.Internal
	out.AuthorizedOperations = operations
	out.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.Partitions))
	for i := range t.Partitions {
		p := &t.Partitions[i]
		out.Partitions[i] = kmsg.MetadataResponseTopicPartition{
			Partition: p.Index, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch,
			Replicas: p.Replicas, ISR: p.ISR,
			ErrorCode: leaderError(image, p),
		}
	}
	return out
}

// leaderError is LEADER_NOT_AVAILABLE for a partition that nobody leads at present.
func leaderError(image *cluster.Image, p *cluster.Partition) int16 {
	if p.Leader == cluster.NoLeader || image.Broker(p.Leader) == nil {
		return kerr.LeaderNotAvailable.Code
	}
	return 0
}
