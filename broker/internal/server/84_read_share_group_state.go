package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/sharestate"
)

// ReadShareGroupState (API key 84), version 0 (KIP-932).
//
// INVALID_REQUEST: the partition was not initialized. Leaders of earlier epochs are refused from then on.
func init() { register(84, 0, 0, (*Server).readShareGroupState) }

func (s *Server) readShareGroupState(r *Request, req *kmsg.ReadShareGroupStateRequest) kmsg.Response {
	resp := kmsg.NewPtrReadShareGroupStateResponse()
	for i := range req.Topics {
		t := &req.Topics[i]
		if req.GroupID == "" || len(t.Partitions) == 0 {
			continue // as Kafka
		}
		out := kmsg.NewReadShareGroupStateResponseTopic()
		out.TopicID = t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewReadShareGroupStateResponseTopicPartition()
			rp.Partition = p.Partition
			k, err := s.stateKey(r, req.GroupID, t.TopicID, p.Partition)
			if err == kerr.UnknownTopicOrPartition {
				err = kerr.InvalidRequest // that there is no state is seen first
			}
			var a sharestate.Answer
			if err == nil {
				a = s.shareStates.Read(r.Context(), k, p.LeaderEpoch)
				err = a.Err
			}
			rp.ErrorCode, rp.ErrorMessage = codeAndText(err)
			if err == nil {
				rp.StateEpoch, rp.StartOffset = a.State.Epoch, a.State.Start
				for _, b := range a.State.Batches {
					sb := kmsg.NewReadShareGroupStateResponseTopicPartitionStateBatch()
					sb.FirstOffset, sb.LastOffset, sb.DeliveryState, sb.DeliveryCount = b.First, b.Last, int8(b.State), b.DeliveryCount
					rp.StateBatches = append(rp.StateBatches, sb)
				}
			}
			out.Partitions = append(out.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
