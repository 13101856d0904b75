package server

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
)

// UnregisterBroker (API key 64), version 0 (KIP-631).
//
// The only broker is the one that answers, which is refused: it would be registered
// again at once.
func init() { register(64, 0, 0, (*Server).unregisterBroker) }

func (s *Server) unregisterBroker(r *Request, req *kmsg.UnregisterBrokerRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.UnregisterBrokerResponse)
	if denied := s.onCluster(r, acl.Alter); denied != nil {
		resp.ErrorCode, resp.ErrorMessage = denied.Code, deniedText(denied)
		return resp
	}
	if s.cluster.Image().Broker(req.BrokerID) == nil {
		resp.ErrorCode, resp.ErrorMessage = kerr.BrokerIDNotRegistered.Code, text(fmt.Sprintf("Broker ID %d is not currently registered", req.BrokerID))
		return resp
	}
	resp.ErrorCode, resp.ErrorMessage = kerr.InvalidRequest.Code, text(fmt.Sprintf("Broker ID %d is running", req.BrokerID))
	return resp
}
