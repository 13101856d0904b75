package server

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
)

// DescribeTopicPartitions (API key 75), version 0 (KIP-966). Topics come in order of
// name, in pages: the answer says where the next one starts.
func init() { register(75, 0, 0, (*Server).describeTopicPartitions) }

func (s *Server) describeTopicPartitions(r *Request, req *kmsg.DescribeTopicPartitionsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeTopicPartitionsResponse)
	image := s.cluster.Image()
	names := make([]string, len(req.Topics))
	for i := range req.Topics {
		names[i] = req.Topics[i].Topic
	}
	slices.Sort(names)
	names = slices.Compact(names)

	from, first := "", int32(0)
	if c := req.Cursor; c != nil {
		from, first = c.Topic, c.Partition
		if first < 0 || len(names) > 0 && !slices.Contains(names, from) {
			for _, name := range names {
				resp.Topics = append(resp.Topics, pagedError(name, kerr.InvalidRequest.Code, notAsked))
			}
			return resp
		}
	}
	operations := func(topic string) int32 { return s.operationsOn(r, acl.Topic, topic, topicOperations) }
	page := page{resp: resp, operations: operations, image: image, left: int(max(1, min(req.ResponsePartitionLimit, image.Config.MaxRequestPartitions)))}
	start := func(name string) int32 {
		if name == from {
			return first
		}
		return 0
	}
	if len(names) == 0 { // all
		for t := range image.TopicsFrom(from) {
			if !s.may(r, acl.Describe, acl.Topic, t.Name) {
				continue
			}
			if !page.add(t, start(t.Name)) {
				break
			}
		}
		return resp
	}
	var hidden []kmsg.DescribeTopicPartitionsResponseTopic // told of after the others
	defer func() { resp.Topics = append(resp.Topics, hidden...) }()
	for _, name := range names {
		if strings.Compare(name, from) < 0 {
			continue
		}
		if denied := s.onTopic(r, acl.Describe, name); denied != nil {
			hidden = append(hidden, deniedTopic(name))
			continue
		}
		if t := image.Topic(name); t != nil {
			if !page.add(t, start(name)) {
				break
			}
			continue
		}
		if page.left == 0 {
			resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: name}
			break
		}
		code := kerr.UnknownTopicOrPartition.Code
		if !cluster.ValidTopicName(name) {
			code = kerr.InvalidTopicException.Code
		}
		resp.Topics = append(resp.Topics, pagedError(name, code, operations(name)))
	}
	return resp
}

// deniedTopic is the answer for a topic that the client may not know of, whether or not it is there.
func deniedTopic(name string) kmsg.DescribeTopicPartitionsResponseTopic {
	t := kmsg.NewDescribeTopicPartitionsResponseTopic()
	t.Topic, t.ErrorCode, t.AuthorizedOperations = &name, kerr.TopicAuthorizationFailed.Code, notAsked
	return t
}

func pagedError(name string, code int16, operations int32) kmsg.DescribeTopicPartitionsResponseTopic {
	t := kmsg.NewDescribeTopicPartitionsResponseTopic()
	t.Topic, t.ErrorCode, t.AuthorizedOperations = &name, code, operations
	t.IsInternal = cluster.IsInternal(name)
	return t
}

// page fills an answer until its partitions are used up.
type page struct {
	resp  *kmsg.DescribeTopicPartitionsResponse
	image *cluster.Image
	left  int
	// operations are those that the client may do with a topic.
	operations func(topic string) int32
}

// add appends a topic's partitions from first on. It reports false, and notes where to
// go on, when there is no room for the next.
func (p *page) add(t *cluster.Topic, first int32) bool {
	if p.left == 0 {
		p.resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: t.Name, Partition: first}
		return false
	}
	out := kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = &t.Name, t.ID, t.Internal
	out.AuthorizedOperations = p.operations(t.Name)
	end := min(int(first)+p.left, len(t.Partitions))
	for i := int(first); i < end; i++ {
		part := &t.Partitions[i]
		o := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
		o.ErrorCode = leaderError(p.image, part)
		o.Partition, o.LeaderID, o.LeaderEpoch = part.Index, part.Leader, part.LeaderEpoch
		o.Replicas, o.ISR = part.Replicas, part.ISR
		// Java's admin client wants lists here, not null.
		o.EligibleLeaderReplicas = append([]int32{}, part.ELR...)
		o.LastKnownELR = append([]int32{}, part.LastKnownELR...)
		out.Partitions = append(out.Partitions, o)
	}
	p.left -= len(out.Partitions)
	p.resp.Topics = append(p.resp.Topics, out)
	if end < len(t.Partitions) {
		p.resp.NextCursor = &kmsg.DescribeTopicPartitionsResponseNextCursor{Topic: t.Name, Partition: int32(end)}
		return false
	}
	return true
}
