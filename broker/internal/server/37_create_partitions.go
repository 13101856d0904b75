package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
)

// CreatePartitions (API key 37), versions 0–3 (KIP-195).
//
//	v2 flexible   v3 quota errors
//
// Left out: the timeout.
func init() { register(37, 0, 3, (*Server).createPartitions) }

func (s *Server) createPartitions(r *Request, req *kmsg.CreatePartitionsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	twice := duplicates(req.Topics, func(t *kmsg.CreatePartitionsRequestTopic) string { return t.Topic })
	answered := make(map[string]bool, len(twice))
	var wanted []cluster.NewPartitions
	var places []int
	for i := range req.Topics {
		t := &req.Topics[i]
		if answered[t.Topic] {
			continue
		}
		out := kmsg.NewCreatePartitionsResponseTopic()
		out.Topic = t.Topic
		if twice[t.Topic] {
			answered[t.Topic] = true
			out.ErrorCode, out.ErrorMessage = kerr.InvalidRequest.Code, text("Duplicate topic name.")
		} else if denied := s.onTopic(r, acl.Alter, t.Topic); denied != nil {
			out.ErrorCode = denied.Code
		} else {
			n := cluster.NewPartitions{Topic: t.Topic, Count: t.Count}
			if t.Assignment != nil {
				n.Assignment = make([][]int32, len(t.Assignment))
				for j := range t.Assignment {
					n.Assignment[j] = t.Assignment[j].Replicas
				}
			}
			wanted = append(wanted, n)
			places = append(places, len(resp.Topics))
		}
		resp.Topics = append(resp.Topics, out)
	}
	if timedOut(req.TimeoutMillis) {
		for _, i := range places {
			resp.Topics[i].ErrorCode, resp.Topics[i].ErrorMessage = codeAndText(kerr.RequestTimedOut)
		}
		return resp
	}
	for i, err := range s.cluster.CreatePartitions(r.Context(), wanted, req.ValidateOnly, s.payment(r, 3)) {
		out := &resp.Topics[places[i]]
		out.ErrorCode, out.ErrorMessage = s.refusal(err, "create partitions", out.Topic)
		if out.ErrorCode == kerr.UnknownTopicOrPartition.Code {
			out.ErrorMessage = nil // as Kafka
		}
	}
	return resp
}
