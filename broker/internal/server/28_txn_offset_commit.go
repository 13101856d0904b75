package server

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/group"
	"millrace/broker/internal/txn"
)

// TxnOffsetCommit (API key 28), versions 0–5 (KIP-98).
//
//	v2 leader epoch (KIP-320)   v3 flexible, generation and member (KIP-447)   v4 TRANSACTION_ABORTABLE (KIP-890)
//	v5 the group's partition of __consumer_offsets becomes part of the transaction (KIP-890)
//
// Answered when the offsets are durable; they count once the transaction is committed.
func init() { register(28, 0, 5, (*Server).txnOffsetCommit) }

func (s *Server) txnOffsetCommit(r *Request, req *kmsg.TxnOffsetCommitRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	image := s.cluster.Image()
	in := group.Commit{
		Generation: -1, Txn: &group.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch},
	}
	if r.Version >= 3 {
		in.MemberID, in.InstanceID, in.Generation = req.MemberID, orEmpty(req.InstanceID), req.Generation
	}
	denied := s.onTxn(r, acl.Write, req.TransactionalID)
	if denied == nil {
		denied = s.onGroup(r, acl.Read, req.Group)
	}
	var codes []*int16 // where the answer to each offset goes
	req.Topics = slices.DeleteFunc(req.Topics, func(t kmsg.TxnOffsetCommitRequestTopic) bool { return len(t.Partitions) == 0 })
	resp.Topics = make([]kmsg.TxnOffsetCommitResponseTopic, len(req.Topics))
	for i := range req.Topics {
		rt, at := &req.Topics[i], &resp.Topics[i]
		at.Topic = rt.Topic
		at.Partitions = make([]kmsg.TxnOffsetCommitResponseTopicPartition, len(rt.Partitions))
		topic, err := s.topicRef(r, image, acl.Read, false, rt.Topic, [16]byte{})
		if denied != nil {
			err = denied
		}
		for j := range rt.Partitions {
			rp, ap := &rt.Partitions[j], &at.Partitions[j]
			ap.Partition = rp.Partition
			if err != nil {
				ap.ErrorCode = err.Code
				continue
			}
			if topic.Partition(rp.Partition) == nil {
				ap.ErrorCode = kerr.UnknownTopicOrPartition.Code
				continue
			}
			o := group.CommitOffset{
				TopicPartition: group.TopicPartition{Topic: topic.Name, Partition: rp.Partition},
				TopicID:        topic.ID, Offset: rp.Offset, LeaderEpoch: -1, Metadata: strings.Clone(orEmpty(rp.Metadata)),
			}
			if r.Version >= 2 {
				o.LeaderEpoch = rp.LeaderEpoch
			}
			in.Offsets = append(in.Offsets, o)
			codes = append(codes, &ap.ErrorCode)
		}
	}
	if len(in.Offsets) == 0 {
		return resp
	}
	reply := s.commitInTxn(r, req, in)
	for i, c := range codes {
		err := reply.Err
		if reply.Offsets != nil {
			err = reply.Offsets[i]
		}
		if r.Version < 2 && err == kerr.CoordinatorLoadInProgress {
			err = kerr.CoordinatorNotAvailable
		}
		*c = code(err)
		s.metrics.failed(28, *c)
	}
	return resp
}

// commitInTxn asks the transaction's coordinator, then commits.
func (s *Server) commitInTxn(r *Request, req *kmsg.TxnOffsetCommitRequest, in group.Commit) group.CommitReply {
	refuse := func(err *kerr.Error) group.CommitReply { return group.CommitReply{Err: err} }
	if req.Group == "" {
		return refuse(kerr.InvalidGroupID)
	}
	if err := s.groups.Ensure(r.Context()); err != nil {
		return refuse(err)
	}
	v2 := r.Version >= 5
	p := txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
	partition := s.groups.Partition(req.Group)
	guard, err := s.markers.TxnGuard(partition, p, v2)
	if err != nil {
		return refuse(err)
	}
	if guard != 0 && (v2 || s.cluster.Image().Config.TransactionVerification) {
		tps := []txn.TopicPartition{{Topic: cluster.OffsetsTopic, Partition: partition}}
		if err := s.joinTxn(r.Context(), req.TransactionalID, p, tps, v2)[0]; err != nil {
			return refuse(joinError(err, r.Version >= 4))
		}
	}
	in.Txn.Guard = guard
	return s.groups.CommitTxn(r.Context(), req.Group, in)
}
