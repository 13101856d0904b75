package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
)

// DescribeProducers (API key 61), version 0 (KIP-664).
//
// The producers that a partition remembers: what kafka-transactions looks for transactions that hang in.
func init() { register(61, 0, 0, (*Server).describeProducers) }

func (s *Server) describeProducers(r *Request, req *kmsg.DescribeProducersRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeProducersResponse)
	image := s.cluster.Image()
	for _, t := range req.Topics {
		out := kmsg.NewDescribeProducersResponseTopic()
		out.Topic = t.Topic
		denied := s.onTopic(r, acl.Read, t.Topic)
		invalid := cluster.CheckTopicName(t.Topic)
		for _, index := range t.Partitions {
			part := kmsg.NewDescribeProducersResponseTopicPartition()
			part.Partition = index
			switch {
			case denied != nil:
				part.ErrorCode, part.ErrorMessage = denied.Code, deniedText(denied)
			case invalid != nil:
				message := invalid.Error()
				part.ErrorCode, part.ErrorMessage = kerr.InvalidTopicException.Code, &message
			case image.Topic(t.Topic) == nil:
				part.ErrorCode, part.ErrorMessage = kerr.UnknownTopicOrPartition.Code, &kerr.UnknownTopicOrPartition.Description
			default:
				part.ErrorCode = s.producersOf(t.Topic, index, &part)
			}
			s.metrics.failed(61, part.ErrorCode)
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (s *Server) producersOf(topic string, index int32, out *kmsg.DescribeProducersResponseTopicPartition) int16 {
	p, err := s.replicas.Get(topic, index)
	if err != nil {
		return s.codeOf(err, "describe producers", topic, index)
	}
	for _, state := range p.Log().Producers() {
		a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		a.ProducerID, a.ProducerEpoch = state.ID, int32(state.Epoch)
		a.LastSequence, a.LastTimestamp = state.LastSequence, state.LastTimestamp
		a.CoordinatorEpoch, a.CurrentTxnStartOffset = state.CoordinatorEpoch, int64(state.TxnFirst)
		out.ActiveProducers = append(out.ActiveProducers, a)
	}
	return 0
}
