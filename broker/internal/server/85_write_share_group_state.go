package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/share"
	"millrace/broker/internal/sharestate"
)

// WriteShareGroupState (API key 85), versions 0–1 (KIP-932).
//
//	v1 delivery complete count (KIP-1226)
func init() { register(85, 0, 1, (*Server).writeShareGroupState) }

func (s *Server) writeShareGroupState(r *Request, req *kmsg.WriteShareGroupStateRequest) kmsg.Response {
	resp := kmsg.NewPtrWriteShareGroupStateResponse()
	for i := range req.Topics {
		t := &req.Topics[i]
		if req.GroupID == "" || len(t.Partitions) == 0 {
			continue // as Kafka
		}
		out := kmsg.NewWriteShareGroupStateResponseTopic()
		out.TopicID = t.TopicID
		for j := range t.Partitions {
			p := &t.Partitions[j]
			rp := kmsg.NewWriteShareGroupStateResponseTopicPartition()
			rp.Partition = p.Partition
			k, err := s.stateKey(r, req.GroupID, t.TopicID, p.Partition)
			if err == kerr.UnknownTopicOrPartition {
				err = kerr.InvalidRequest // that there is no state is seen first
			}
			in := sharestate.Write{Epoch: p.StateEpoch, LeaderEpoch: p.LeaderEpoch, Start: p.StartOffset, Complete: -1}
			if r.Version >= 1 {
				in.Complete = p.DeliveryCompleteCount
			}
			for _, b := range p.StateBatches {
				state := share.State(b.DeliveryState)
				if b.FirstOffset < 0 || b.LastOffset < b.FirstOffset || b.DeliveryCount < 0 || state != share.Available && state != share.Acknowledged && state != share.Archived {
					err = kerr.InvalidRequest
				}
				in.Batches = append(in.Batches, share.Batch{First: b.FirstOffset, Last: b.LastOffset, State: state, DeliveryCount: b.DeliveryCount})
			}
			if err == nil {
				err = s.shareStates.Write(r.Context(), k, in)
			}
			rp.ErrorCode, rp.ErrorMessage = codeAndText(err)
			out.Partitions = append(out.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
