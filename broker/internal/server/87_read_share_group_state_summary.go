package server

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/sharestate"
)

// ReadShareGroupStateSummary (API key 87), versions 0–1 (KIP-932).
//
//	v1 delivery complete count (KIP-1226)
//
// A partition that was not initialized has start -1, which is no error.
func init() { register(87, 0, 1, (*Server).readShareGroupStateSummary) }

func (s *Server) readShareGroupStateSummary(r *Request, req *kmsg.ReadShareGroupStateSummaryRequest) kmsg.Response {
	resp := kmsg.NewPtrReadShareGroupStateSummaryResponse()
	for i := range req.Topics {
		t := &req.Topics[i]
		if req.GroupID == "" || len(t.Partitions) == 0 {
			continue // as Kafka
		}
		out := kmsg.NewReadShareGroupStateSummaryResponseTopic()
		out.TopicID = t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewReadShareGroupStateSummaryResponseTopicPartition()
			rp.Partition, rp.DeliveryCompleteCount = p.Partition, -1
			k, err := s.stateKey(r, req.GroupID, t.TopicID, p.Partition)
			if err == nil {
				a := s.shareStates.Summary(r.Context(), k)
				rp.StartOffset = sharestate.Uninitialized
				if err = a.Err; err == nil && a.State != nil {
					rp.StateEpoch, rp.LeaderEpoch, rp.StartOffset, rp.DeliveryCompleteCount = a.State.Epoch, a.State.LeaderEpoch, a.State.Start, a.State.Complete
				}
			}
			rp.ErrorCode, rp.ErrorMessage = codeAndText(err)
			out.Partitions = append(out.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
