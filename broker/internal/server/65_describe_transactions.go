package server

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/txn"
)

// DescribeTransactions (API key 65), version 0 (KIP-664).
func init() { register(65, 0, 0, (*Server).describeTransactions) }

func (s *Server) describeTransactions(r *Request, req *kmsg.DescribeTransactionsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	for _, id := range req.TransactionalIDs {
		out := kmsg.NewDescribeTransactionsResponseTransactionState()
		out.TransactionalID = id
		var m txn.Metadata
		err := s.onTxn(r, acl.Describe, id)
		if err == nil {
			m, err = s.txns.Describe(id)
		}
		out.ErrorCode = code(err)
		s.metrics.failed(65, out.ErrorCode)
		if err == nil {
			out.State, out.ProducerID, out.ProducerEpoch = m.State.String(), m.ProducerID, m.Epoch
			out.TimeoutMillis, out.StartTimestamp = int32(m.Timeout.Milliseconds()), -1
			if !m.Started.IsZero() {
				out.StartTimestamp = m.Started.UnixMilli()
			}
			for _, tp := range m.Partitions { // in order of topics
				if !s.may(r, acl.Describe, acl.Topic, tp.Topic) {
					continue
				}
				if n := len(out.Topics); n == 0 || out.Topics[n-1].Topic != tp.Topic {
					t := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
					t.Topic = tp.Topic
					out.Topics = append(out.Topics, t)
				}
				last := &out.Topics[len(out.Topics)-1]
				last.Partitions = append(last.Partitions, tp.Partition)
			}
		}
		resp.TransactionStates = append(resp.TransactionStates, out)
	}
	return resp
}
