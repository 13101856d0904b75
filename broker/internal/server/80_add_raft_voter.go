package server

import (
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
)

// AddRaftVoter (API key 80), versions 0–1 (KIP-853).
//
//	v1 answered before it is committed (KIP-1186)
//
// This node is the whole quorum and takes nobody in: what is asked is checked as in Kafka, and another
// voter is then answered as one that cannot be reached.
func init() { register(80, 0, 1, (*Server).addRaftVoter) }

// controllerListener is the one that a voter must be reachable on.
const controllerListener = "CONTROLLER"

func (s *Server) addRaftVoter(r *Request, req *kmsg.AddRaftVoterRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AddRaftVoterResponse)
	refuse := func(err *kerr.Error, format string, args ...any) kmsg.Response {
		resp.ErrorCode, resp.ErrorMessage = err.Code, text(fmt.Sprintf(format, args...))
		return resp
	}
	if denied := s.onCluster(r, acl.Alter); denied != nil {
		return refuse(denied, "%s", *deniedText(denied))
	}
	if err, message := s.checkVoter("Add", req.ClusterID, req.VoterID, req.VoterDirectoryID); err != nil {
		return refuse(err, "%s", message)
	}
	var endpoints []string
	reachable := false
	for i := range req.Listeners {
		l := &req.Listeners[i]
		endpoints = append(endpoints, fmt.Sprintf("ListenerName(%s)=%s/<unresolved>:%d", l.Name, l.Host, l.Port))
		reachable = reachable || l.Name == controllerListener
	}
	switch {
	case !reachable:
		return refuse(kerr.InvalidRequest, "Add voter request didn't include the endpoint (Endpoints(endpoints={%s})) for the default listener ListenerName(%s)", strings.Join(endpoints, ", "), controllerListener)
	case s.cluster.Image().FeatureLevel(cluster.KRaftVersion) == 0:
		return refuse(kerr.UnsupportedVersion, "Cluster doesn't support adding voter because the kraft.version feature is 0")
	case req.VoterID == s.nodeID:
		return refuse(kerr.DuplicateVoter, "The voter id for %s is already part of the set of voters [%s].", replicaKey(req.VoterID, req.VoterDirectoryID), s.ownReplicaKey())
	}
	return refuse(kerr.RequestTimedOut, "This node is the whole quorum: %s cannot join it", replicaKey(req.VoterID, req.VoterDirectoryID))
}

// checkVoter applies the rules that adding and removing a voter have in common.
func (s *Server) checkVoter(doing string, clusterID *string, id int32, directory [16]byte) (*kerr.Error, string) {
	switch {
	case clusterID != nil && *clusterID != s.clusterID:
		return kerr.InconsistentClusterID, fmt.Sprintf("The given id %q doesn't match the cluster id %q", *clusterID, s.clusterID)
	case id < 0 || directory == [16]byte{}:
		return kerr.InvalidRequest, doing + " voter request didn't include a valid voter"
	}
	return nil, ""
}

// replicaKey is a voter as Kafka's messages have it.
func replicaKey(id int32, directory [16]byte) string {
	return fmt.Sprintf("ReplicaKey(id=%d, directoryId=%s)", id, base64.RawURLEncoding.EncodeToString(directory[:]))
}

// ownReplicaKey is this node as a voter.
func (s *Server) ownReplicaKey() string {
	return fmt.Sprintf("ReplicaKey(id=%d, directoryId=%s)", s.nodeID, s.replicas.DirectoryID())
}
