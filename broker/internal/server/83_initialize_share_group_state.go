package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/sharestate"
)

// InitializeShareGroupState (API key 83), version 0 (KIP-932).
//
// Gives partitions of a share group a start: -1 lets the group's share.auto.offset.reset decide.
// It is a request of brokers among themselves, as the four after it.
func init() { register(83, 0, 0, (*Server).initializeShareGroupState) }

func (s *Server) initializeShareGroupState(r *Request, req *kmsg.InitializeShareGroupStateRequest) kmsg.Response {
	resp := kmsg.NewPtrInitializeShareGroupStateResponse()
	for i := range req.Topics {
		t := &req.Topics[i]
		if req.GroupID == "" || len(t.Partitions) == 0 {
			continue // as Kafka
		}
		out := kmsg.NewInitializeShareGroupStateResponseTopic()
		out.TopicID = t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewInitializeShareGroupStateResponseTopicPartition()
			rp.Partition = p.Partition
			k, err := s.stateKey(r, req.GroupID, t.TopicID, p.Partition)
			if err == nil && p.StartOffset < sharestate.Uninitialized {
				err = kerr.InvalidRequest
			}
			if err == nil {
				if err = s.shareStates.Initialize(r.Context(), k, p.StateEpoch, p.StartOffset); err == nil {
					s.shares.Forget(k)
				}
			}
			rp.ErrorCode, rp.ErrorMessage = codeAndText(err)
			out.Partitions = append(out.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// stateKey checks what a request says of a partition of a share group.
func (s *Server) stateKey(r *Request, group string, topic [16]byte, partition int32) (sharestate.Key, *kerr.Error) {
	k := sharestate.Key{Group: group, Topic: topic, Partition: partition}
	if denied := s.onCluster(r, acl.ClusterAction); denied != nil { // these requests are for brokers
		return k, denied
	}
	if group == "" || partition < 0 {
		return k, kerr.InvalidRequest
	}
	t := s.cluster.Image().TopicByID(topic)
	if t == nil || t.Partition(partition) == nil {
		return k, kerr.UnknownTopicOrPartition
	}
	return k, nil
}
