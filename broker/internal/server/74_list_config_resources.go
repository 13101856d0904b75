package server

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
)

// ListConfigResources (API key 74), versions 0–1 (KIP-1000, KIP-1142).
//
//	v0 client metrics only   v1 by type of resource
//
// Groups and subscriptions to metrics of clients are listed when a setting was given to them.
func init() { register(74, 0, 1, (*Server).listConfigResources) }

// listable are the types that v1 may name, and lists when none is named.
var listable = []kmsg.ConfigResourceType{
	kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger,
	kmsg.ConfigResourceTypeClientMetrics, kmsg.ConfigResourceTypeGroupConfig,
}

func (s *Server) listConfigResources(r *Request, req *kmsg.ListConfigResourcesRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListConfigResourcesResponse)
	if denied := s.onCluster(r, acl.DescribeConfigs); denied != nil {
		resp.ErrorCode = denied.Code
		return resp
	}
	wanted := listable
	switch {
	case r.Version == 0:
		wanted = []kmsg.ConfigResourceType{kmsg.ConfigResourceTypeClientMetrics}
	case len(req.ResourceTypes) > 0:
		wanted = nil
		for _, kind := range req.ResourceTypes {
			if !slices.Contains(listable, kmsg.ConfigResourceType(kind)) {
				resp.ErrorCode = kerr.UnsupportedVersion.Code
				return resp
			}
			wanted = append(wanted, kmsg.ConfigResourceType(kind))
		}
	}
	image := s.cluster.Image()
	for _, kind := range listable { // each once, whatever was asked twice
		if !slices.Contains(wanted, kind) {
			continue
		}
		var names []string
		switch kind {
		case kmsg.ConfigResourceTypeTopic:
			for t := range image.Topics() {
				names = append(names, t.Name)
			}
		case kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger:
			for _, b := range image.Brokers() {
				names = append(names, strconv.Itoa(int(b.ID)))
			}
		case kmsg.ConfigResourceTypeClientMetrics:
			names = image.ClientMetricsSubscriptions()
		case kmsg.ConfigResourceTypeGroupConfig:
			names = image.GroupsWithConfigs()
		}
		for _, name := range names {
			out := kmsg.NewListConfigResourcesResponseConfigResource()
			out.Type, out.Name = int8(kind), name
			resp.ConfigResources = append(resp.ConfigResources, out)
		}
	}
	return resp
}
