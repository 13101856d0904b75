package server

import "github.com/twmb/franz-go/pkg/kmsg"

// DeleteShareGroupState (API key 86), version 0 (KIP-932). Nothing to delete is no error.
func init() { register(86, 0, 0, (*Server).deleteShareGroupState) }

func (s *Server) deleteShareGroupState(r *Request, req *kmsg.DeleteShareGroupStateRequest) kmsg.Response {
	resp := kmsg.NewPtrDeleteShareGroupStateResponse()
	for i := range req.Topics {
		t := &req.Topics[i]
		if req.GroupID == "" || len(t.Partitions) == 0 {
			continue // as Kafka
		}
		out := kmsg.NewDeleteShareGroupStateResponseTopic()
		out.TopicID = t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewDeleteShareGroupStateResponseTopicPartition()
			rp.Partition = p.Partition
			k, err := s.stateKey(r, req.GroupID, t.TopicID, p.Partition)
			if err == nil {
				s.shares.Forget(k)
				err = s.shareStates.Delete(r.Context(), k)
			}
			rp.ErrorCode, rp.ErrorMessage = codeAndText(err)
			out.Partitions = append(out.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
