package server

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/txn"
)

// AddOffsetsToTxn (API key 25), versions 0–4 (KIP-98).
//
//	v2 PRODUCER_FENCED (KIP-588)   v3 flexible (KIP-482)   v4 TRANSACTION_ABORTABLE (KIP-890)
//
// Makes the partition of __consumer_offsets that keeps a group part of the transaction. Clients with
// transactions of version 2 do not send it: TxnOffsetCommit does the same.
func init() { register(25, 0, 4, (*Server).addOffsetsToTxn) }

func (s *Server) addOffsetsToTxn(r *Request, req *kmsg.AddOffsetsToTxnRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
	err := s.onTxn(r, acl.Write, req.TransactionalID)
	if err == nil {
		err = s.onGroup(r, acl.Read, req.Group)
	}
	if err == nil {
		err = s.groups.Ensure(r.Context())
	}
	if err == nil {
		err = s.txns.AddPartitions(r.Context(), req.TransactionalID, txn.AddPartitions{
			Producer:   txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch},
			Partitions: []txn.TopicPartition{{Topic: cluster.OffsetsTopic, Partition: s.groups.Partition(req.Group)}},
		})
	}
	resp.ErrorCode = code(fencedAs(err, r.Version >= 2))
	s.metrics.failed(25, resp.ErrorCode)
	return resp
}
