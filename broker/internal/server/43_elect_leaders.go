package server

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
)

// ElectLeaders (API key 43), versions 0–2 (KIP-183, KIP-460).
//
//	v1 type of election, error of the request   v2 flexible
//
// With one node each partition is led by its only replica, so no election is needed.
// Asked for all partitions (null), Kafka leaves those out of the answer that need none.
func init() { register(43, 0, 2, (*Server).electLeaders) }

// The types of election.
const (
	preferredElection = 0
	uncleanElection   = 1
)

func (s *Server) electLeaders(r *Request, req *kmsg.ElectLeadersRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	late := timedOut(req.TimeoutMillis)
	if late {
		resp.ErrorCode = kerr.RequestTimedOut.Code
	}
	unknownType := req.ElectionType != preferredElection && req.ElectionType != uncleanElection
	if unknownType {
		resp.ErrorCode = kerr.InvalidRequest.Code
	}
	denied := s.onCluster(r, acl.Alter)
	if denied != nil {
		resp.ErrorCode = denied.Code
	}
	image := s.cluster.Image()
	for i := range req.Topics {
		asked := &req.Topics[i]
		out := kmsg.NewElectLeadersResponseTopic()
		out.Topic = asked.Topic
		for _, index := range asked.Partitions {
			p := kmsg.NewElectLeadersResponseTopicPartition()
			p.Partition = index
			switch {
			case denied != nil:
				p.ErrorCode, p.ErrorMessage = denied.Code, deniedText(denied)
			case late:
				p.ErrorCode, p.ErrorMessage = codeAndText(kerr.RequestTimedOut)
			case unknownType:
				p.ErrorCode, p.ErrorMessage = kerr.InvalidRequest.Code, text(fmt.Sprintf("Unknown election type %d", req.ElectionType))
			default:
				p.ErrorCode, p.ErrorMessage = s.electLeader(image.Topic(asked.Topic), asked.Topic, index)
			}
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (s *Server) electLeader(t *cluster.Topic, name string, index int32) (int16, *string) {
	switch {
	case t == nil:
		return kerr.UnknownTopicOrPartition.Code, text("No such topic as " + name)
	case t.Partition(index) == nil:
		return kerr.UnknownTopicOrPartition.Code, text(fmt.Sprintf("No such partition as %s-%d", name, index))
	case t.Partition(index).Leader == cluster.NoLeader:
		return kerr.EligibleLeadersNotAvailable.Code, text("Failed to find an eligible leader.")
	default:
		return kerr.ElectionNotNeeded.Code, text("Leader election not needed for topic partition.")
	}
}
