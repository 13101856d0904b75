package server

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
)

// RemoveRaftVoter (API key 81), version 0 (KIP-853). This node is the whole quorum, and the last
// voter cannot be removed: VOTER_NOT_FOUND, as in Kafka.
func init() { register(81, 0, 0, (*Server).removeRaftVoter) }

func (s *Server) removeRaftVoter(r *Request, req *kmsg.RemoveRaftVoterRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.RemoveRaftVoterResponse)
	refuse := func(err *kerr.Error, message string) kmsg.Response {
		resp.ErrorCode, resp.ErrorMessage = err.Code, &message
		return resp
	}
	if denied := s.onCluster(r, acl.Alter); denied != nil {
		return refuse(denied, *deniedText(denied))
	}
	if err, message := s.checkVoter("Remove", req.ClusterID, req.VoterID, req.VoterDirectoryID); err != nil {
		return refuse(err, message)
	}
	if s.cluster.Image().FeatureLevel(cluster.KRaftVersion) == 0 {
		return refuse(kerr.UnsupportedVersion, "Cluster doesn't support removing voter because the kraft.version feature is 0")
	}
	return refuse(kerr.VoterNotFound, fmt.Sprintf("Cannot remove voter %s from the set of voters [%s]", replicaKey(req.VoterID, req.VoterDirectoryID), s.ownReplicaKey()))
}
