package server

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/txn"
)

// InitProducerId (API key 22), versions 0–5.
//
//	v2 flexible (KIP-482)   v3 the producer's own id and epoch (KIP-360)   v4 PRODUCER_FENCED (KIP-588)
//	v5 transactions of version 2 (KIP-890)
//
// Producer ids are taken in blocks that are noted in the cluster's metadata first,
// so that none is given out twice, not after a crash either. With a transactional id the answer
// is durable in __transaction_state, and whoever had the id before is fenced off.
//
// Left out: transactions that an outside coordinator decides (version 6, KIP-939), which
// Kafka 4.3 does not offer either.
func init() { register(22, 0, 5, (*Server).initProducerID) }

func (s *Server) initProducerID(r *Request, req *kmsg.InitProducerIDRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if denied := s.producerDenied(r, req.TransactionalID); denied != nil {
		resp.ErrorCode = denied.Code
		s.metrics.failed(22, resp.ErrorCode)
		return resp
	}
	switch {
	case r.Version >= 3 && (req.ProducerID == -1) != (req.ProducerEpoch == -1):
		resp.ErrorCode = kerr.InvalidRequest.Code
	case req.TransactionalID != nil && *req.TransactionalID == "":
		resp.ErrorCode = kerr.InvalidRequest.Code
	case req.TransactionalID != nil:
		in := txn.InitProducer{Timeout: time.Duration(req.TransactionTimeoutMillis) * time.Millisecond}
		if r.Version >= 3 && req.ProducerID != -1 {
			in.Expected = &txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
		}
		reply := s.txns.InitProducer(r.Context(), *req.TransactionalID, in)
		resp.ErrorCode = code(fencedAs(reply.Err, r.Version >= 4))
		resp.ProducerID, resp.ProducerEpoch = reply.Producer.ID, reply.Producer.Epoch
	default:
		// Without a transactional id a producer is always a new one, whatever it was before.
		id, err := s.cluster.NextProducerID(r.Context())
		if err != nil {
			s.log.Error("no producer id", "error", err)
			resp.ErrorCode = kerr.CoordinatorNotAvailable.Code
			break
		}
		resp.ProducerID, resp.ProducerEpoch = id, 0
	}
	s.metrics.failed(22, resp.ErrorCode)
	return resp
}

// producerDenied tells whether a client may not be a producer: one without a transactional id has to be able to write somewhere
// (KIP-679).
func (s *Server) producerDenied(r *Request, id *string) *kerr.Error {
	if id != nil {
		return s.onTxn(r, acl.Write, *id)
	}
	if s.mayAny(r, acl.Write, acl.Topic) {
		return nil
	}
	return s.onCluster(r, acl.IdempotentWrite)
}
