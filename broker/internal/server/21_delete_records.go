package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/record"
)

// DeleteRecords (API key 21), versions 0–2 (KIP-107).
//
//	v1 throttling after the answer (KIP-219)   v2 flexible (KIP-482)
//
// Offset -1 stands for the high watermark. The new log start is on disk when it is answered.
func init() { register(21, 0, 2, (*Server).deleteRecords) }

func (s *Server) deleteRecords(r *Request, req *kmsg.DeleteRecordsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DeleteRecordsResponse)
	for _, t := range req.Topics {
		if len(t.Partitions) == 0 {
			continue // as Kafka, which groups its answers by topic
		}
		out := kmsg.NewDeleteRecordsResponseTopic()
		out.Topic = t.Topic
		denied := s.onTopic(r, acl.Delete, t.Topic)
		for _, in := range t.Partitions {
			part := kmsg.NewDeleteRecordsResponseTopicPartition()
			part.Partition = in.Partition
			if denied != nil {
				part.LowWatermark, part.ErrorCode = -1, denied.Code
			} else {
				part.LowWatermark, part.ErrorCode = s.deleteRecordsOf(t.Topic, in.Partition, in.Offset)
			}
			s.metrics.failed(21, part.ErrorCode)
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (s *Server) deleteRecordsOf(topic string, partition int32, offset int64) (low int64, code int16) {
	if cluster.IsInternal(topic) {
		return -1, kerr.InvalidTopicException.Code
	}
	p, err := s.replicas.Get(topic, partition)
	if err != nil {
		return -1, s.codeOf(err, "delete records", topic, partition)
	}
	if !p.Topic().Config.Delete() {
		return -1, kerr.PolicyViolation.Code
	}
	start, err := p.DeleteBefore(record.Offset(offset))
	if err != nil {
		return -1, s.codeOf(err, "delete records", topic, partition)
	}
	return int64(start), 0
}
