package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
)

// UpdateFeatures (API key 57), versions 0–2 (KIP-584).
//
//	v1 ways to upgrade and downgrade, validate only   v2 no results for each feature (KIP-1022)
//
// Requests of a feature that was turned off are refused: see withoutFeature.
func init() { register(57, 0, 2, (*Server).updateFeatures) }

func (s *Server) updateFeatures(r *Request, req *kmsg.UpdateFeaturesRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	if denied := s.onCluster(r, acl.Alter); denied != nil {
		resp.ErrorCode, resp.ErrorMessage = denied.Code, deniedText(denied)
		return resp
	}
	updates := make([]cluster.FeatureUpdate, len(req.FeatureUpdates))
	for i := range req.FeatureUpdates {
		u := &req.FeatureUpdates[i]
		updates[i] = cluster.FeatureUpdate{Name: u.Feature, Level: u.MaxVersionLevel, Way: u.UpgradeType}
		if r.Version == 0 {
			updates[i].Way = cluster.Upgrade // what v0 says of downgrades, Kafka does not look at
		}
	}
	if err := s.cluster.UpdateFeatures(r.Context(), updates, req.ValidateOnly && r.Version >= 1); err != nil {
		resp.ErrorCode, resp.ErrorMessage = s.refusal(err, "update features", "")
		return resp
	}
	if r.Version >= 2 {
		return resp
	}
	answered := map[string]bool{}
	for _, u := range updates {
		if answered[u.Name] {
			continue
		}
		answered[u.Name] = true
		out := kmsg.NewUpdateFeaturesResponseResult()
		out.Feature, out.ErrorMessage = u.Name, text("NONE")
		resp.Results = append(resp.Results, out)
	}
	return resp
}

// needs are the features that requests are part of.
var needs = map[int16]string{
	68: cluster.GroupVersion, 69: cluster.GroupVersion,
	76: cluster.ShareVersion, 77: cluster.ShareVersion, 78: cluster.ShareVersion, 79: cluster.ShareVersion,
	90: cluster.ShareVersion, 91: cluster.ShareVersion, 92: cluster.ShareVersion,
}

// withoutFeature answers a request whose feature is off; nil for all others.
func (s *Server) withoutFeature(req kmsg.Request) kmsg.Response {
	name, ok := needs[req.Key()]
	if !ok || s.cluster.Image().FeatureLevel(name) > 0 {
		return nil
	}
	code := kerr.UnsupportedVersion.Code
	s.metrics.failed(req.Key(), code)
	switch resp := req.ResponseKind().(type) {
	case *kmsg.ConsumerGroupHeartbeatResponse:
		resp.ErrorCode = code
		return resp
	case *kmsg.ConsumerGroupDescribeResponse:
		for _, id := range req.(*kmsg.ConsumerGroupDescribeRequest).Groups {
			g := kmsg.NewConsumerGroupDescribeResponseGroup()
			g.Group, g.ErrorCode = id, code
			resp.Groups = append(resp.Groups, g)
		}
		return resp
	case *kmsg.ShareGroupHeartbeatResponse:
		resp.ErrorCode = code
		return resp
	case *kmsg.ShareGroupDescribeResponse:
		for _, id := range req.(*kmsg.ShareGroupDescribeRequest).GroupIDs {
			g := kmsg.NewShareGroupDescribeResponseGroup()
			g.GroupID, g.ErrorCode = id, code
			resp.Groups = append(resp.Groups, g)
		}
		return resp
	case *kmsg.ShareFetchResponse:
		resp.ErrorCode = code
		return resp
	case *kmsg.ShareAcknowledgeResponse:
		resp.ErrorCode = code
		return resp
	case *kmsg.DescribeShareGroupOffsetsResponse:
		asked := req.(*kmsg.DescribeShareGroupOffsetsRequest).Groups
		for i := range asked {
			g := kmsg.NewDescribeShareGroupOffsetsResponseGroup()
			g.GroupID, g.ErrorCode = asked[i].GroupID, code
			resp.Groups = append(resp.Groups, g)
		}
		return resp
	case *kmsg.AlterShareGroupOffsetsResponse:
		resp.ErrorCode, resp.ErrorMessage = code, &kerr.UnsupportedVersion.Description
		return resp
	case *kmsg.DeleteShareGroupOffsetsResponse:
		resp.ErrorCode, resp.ErrorMessage = code, &kerr.UnsupportedVersion.Description
		return resp
	}
	return nil
}
