package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// InitProducerId (API key 22), versions 0–5.
//
//	v2 flexible (KIP-482)   v3 the producer's own id and epoch (KIP-360)   v4 PRODUCER_FENCED (KIP-588)
//	v5 transactions of version 2 (KIP-890)
//
// Producer ids are taken in blocks that are noted in the cluster's metadata first,
// so that none is given out twice, not after a crash either.
//
// Left out: transactional ids. They are refused with UNSUPPORTED_VERSION, which
// clients do not retry. See docs/divergence.md.
func init() { register(22, 0, 5, (*Server).initProducerID) }

func (s *Server) initProducerID(r *Request, req *kmsg.InitProducerIDRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	switch {
	case req.TransactionalID != nil && *req.TransactionalID == "":
		resp.ErrorCode = kerr.InvalidRequest.Code
	case r.Version >= 3 && (req.ProducerID == -1) != (req.ProducerEpoch == -1):
		resp.ErrorCode = kerr.InvalidRequest.Code
	case req.TransactionalID != nil:
		resp.ErrorCode = kerr.UnsupportedVersion.Code
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
	return resp
}
