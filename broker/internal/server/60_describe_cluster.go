package server

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// DescribeCluster (API key 60), versions 0–2 (KIP-700).
//
//	v1 brokers or controllers (KIP-919)   v2 fenced brokers (KIP-1073)
//
// Left out: the controllers' endpoints: there is no separate listener for them.
func init() { register(60, 0, 2, (*Server).describeCluster) }

// The endpoint types of v1.
const (
	brokerEndpoints     = 1
	controllerEndpoints = 2
)

func (s *Server) describeCluster(r *Request, req *kmsg.DescribeClusterRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	resp.ClusterAuthorizedOperations = notAsked
	resp.EndpointType = brokerEndpoints
	if r.Version >= 1 && req.EndpointType != brokerEndpoints {
		resp.ErrorCode, resp.ErrorMessage = kerr.UnsupportedEndpointType.Code, text("Unsupported endpoint type "+strconv.Itoa(int(req.EndpointType)))
		if req.EndpointType == controllerEndpoints {
			resp.ErrorCode, resp.ErrorMessage = kerr.MismatchedEndpointType.Code, text("The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER")
		}
		return resp
	}
	image := s.cluster.Image()
	resp.ClusterID = s.clusterID
	resp.ControllerID = image.ControllerID()
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = s.operationsOnCluster(r)
	}
	for _, b := range image.Brokers() {
		e, ok := endpoint(r, b, s.nodeID)
		if !ok {
			continue
		}
		out := kmsg.NewDescribeClusterResponseBroker()
		out.NodeID, out.Host, out.Port = b.ID, e.Host, e.Port
		if b.Rack != "" {
			out.Rack = &b.Rack
		}
		resp.Brokers = append(resp.Brokers, out)
	}
	return resp
}
