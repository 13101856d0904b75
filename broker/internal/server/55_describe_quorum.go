package server

import (
	"encoding/base64"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
)

// DescribeQuorum (API key 55), versions 0–2 (KIP-595).
//
//	v1 times of the last fetch (KIP-836)   v2 directory ids, nodes, messages (KIP-853)
//
// The quorum is this node: it votes for itself at each start, so the epoch grows with
// each start, as a Raft term does. Its end is its high watermark: what is in the
// metadata log is committed when it is on disk.
func init() { register(55, 0, 2, (*Server).describeQuorum) }

func (s *Server) describeQuorum(r *Request, req *kmsg.DescribeQuorumRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeQuorumResponse)
	if denied := s.onCluster(r, acl.Describe); denied != nil {
		resp.ErrorCode, resp.ErrorMessage = denied.Code, deniedText(denied)
		return resp
	}
	resp.ErrorMessage = text("")
	asksForQuorum := len(req.Topics) == 1 && req.Topics[0].Topic == cluster.MetadataTopic &&
		len(req.Topics[0].Partitions) == 1 && req.Topics[0].Partitions[0].Partition == 0
	for i := range req.Topics {
		asked := &req.Topics[i]
		out := kmsg.NewDescribeQuorumResponseTopic()
		out.Topic = asked.Topic
		for j := range asked.Partitions {
			p := kmsg.NewDescribeQuorumResponseTopicPartition()
			p.Partition = asked.Partitions[j].Partition
			if asksForQuorum {
				s.fillQuorum(&p, r.Version)
			} else {
				p.ErrorCode, p.ErrorMessage = kerr.UnknownTopicOrPartition.Code, text("This server does not host this topic-partition.")
			}
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	if b := s.cluster.Image().Broker(s.nodeID); asksForQuorum && b != nil {
		node := kmsg.NewDescribeQuorumResponseNode()
		node.NodeID = s.nodeID
		if e, ok := endpoint(r, b, s.nodeID); ok {
			l := kmsg.NewDescribeQuorumResponseNodeListener()
			l.Name, l.Host, l.Port = r.Listener.Name, e.Host, uint16(e.Port)
			node.Listeners = append(node.Listeners, l)
		}
		resp.Nodes = append(resp.Nodes, node)
	}
	return resp
}

func (s *Server) fillQuorum(p *kmsg.DescribeQuorumResponseTopicPartition, version int16) {
	image := s.cluster.Image()
	p.ErrorMessage = text("")
	p.LeaderID = s.nodeID
	if b := image.Broker(s.nodeID); b != nil {
		p.LeaderEpoch = int32(b.Epoch) + 1
	}
	p.HighWatermark = image.Offset + 1
	voter := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
	voter.ReplicaID, voter.LogEndOffset = s.nodeID, p.HighWatermark
	if version >= 1 {
		now := time.Now().UnixMilli()
		voter.LastFetchTimestamp, voter.LastCaughtUpTimestamp = now, now
	}
	if id, err := base64.RawURLEncoding.DecodeString(s.replicas.DirectoryID()); err == nil && len(id) == len(voter.ReplicaDirectoryID) {
		copy(voter.ReplicaDirectoryID[:], id)
	}
	p.CurrentVoters = append(p.CurrentVoters, voter)
}
