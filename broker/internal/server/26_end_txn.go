package server

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/txn"
)

// EndTxn (API key 26), versions 0–5 (KIP-98).
//
//	v2 PRODUCER_FENCED (KIP-588)   v3 flexible (KIP-482)   v4 TRANSACTION_ABORTABLE (KIP-890)
//	v5 the producer id and epoch of the next transaction (KIP-890)
//
// Answered when the decision is durable; the markers follow, also after a crash.
func init() { register(26, 0, 5, (*Server).endTxn) }

func (s *Server) endTxn(r *Request, req *kmsg.EndTxnRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.EndTxnResponse)
	in := txn.EndTxn{Producer: txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}, Commit: req.Commit}
	if denied := s.onTxn(r, acl.Write, req.TransactionalID); denied != nil {
		resp.ErrorCode, resp.ProducerID, resp.ProducerEpoch = denied.Code, -1, -1
		s.metrics.failed(26, resp.ErrorCode)
		return resp
	}
	if r.Version >= 5 {
		in.Version = transactionsV2
	}
	reply := s.txns.EndTxn(r.Context(), req.TransactionalID, in)
	resp.ErrorCode = code(fencedAs(reply.Err, r.Version >= 2))
	resp.ProducerID, resp.ProducerEpoch = reply.Producer.ID, reply.Producer.Epoch
	s.metrics.failed(26, resp.ErrorCode)
	return resp
}
