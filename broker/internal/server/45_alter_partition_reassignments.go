package server

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
)

// AlterPartitionReassignments (API key 45), versions 0–1 (KIP-455).
//
//	v1 whether the number of replicas may change (KIP-860)
//
// With one node there is one place for a replica: the only reassignment that is valid
// is the one that is there already, which has nothing to do, and none is ever under way.
func init() { register(45, 0, 1, (*Server).alterPartitionReassignments) }

func (s *Server) alterPartitionReassignments(r *Request, req *kmsg.AlterPartitionAssignmentsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	denied := s.onCluster(r, acl.Alter)
	if denied != nil {
		resp.ErrorCode, resp.ErrorMessage = denied.Code, deniedText(denied)
	}
	if len(req.Topics) == 0 && denied == nil {
		resp.ErrorMessage = text("")
	}
	late := denied == nil && timedOut(req.TimeoutMillis)
	if late {
		resp.ErrorCode, resp.ErrorMessage = codeAndText(kerr.RequestTimedOut)
	}
	for i := range req.Topics {
		asked := &req.Topics[i]
		out := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		out.Topic = asked.Topic
		for j := range asked.Partitions {
			p := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			p.Partition = asked.Partitions[j].Partition
			switch {
			case denied != nil:
				p.ErrorCode, p.ErrorMessage = denied.Code, deniedText(denied)
			case late:
				p.ErrorCode, p.ErrorMessage = resp.ErrorCode, resp.ErrorMessage
			default:
				p.ErrorCode, p.ErrorMessage = s.reassign(asked.Topic, &asked.Partitions[j], req.AllowReplicationFactorChange)
			}
			out.Partitions = append(out.Partitions, p)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// reassign answers for one partition. Null replicas cancel what is under way.
func (s *Server) reassign(topic string, asked *kmsg.AlterPartitionAssignmentsRequestTopicPartition, anyFactor bool) (int16, *string) {
	image := s.cluster.Image()
	t := image.Topic(topic)
	if t == nil {
		return kerr.UnknownTopicOrPartition.Code, text("Unable to find a topic named " + topic + ".")
	}
	p := t.Partition(asked.Partition)
	if p == nil {
		return kerr.UnknownTopicOrPartition.Code, text(fmt.Sprintf("Unable to find partition %s:%d.", topic, asked.Partition))
	}
	if asked.Replicas == nil {
		return kerr.NoReassignmentInProgress.Code, nil
	}
	if err := image.CheckReplicas(asked.Replicas); err != nil {
		return s.refusal(err, "reassign partition", topic)
	}
	if !anyFactor && len(asked.Replicas) != len(p.Replicas) {
		return kerr.InvalidReplicationFactor.Code, text(fmt.Sprintf("The replication factor is changed from %d to %d", len(p.Replicas), len(asked.Replicas)))
	}
	return 0, nil
}
