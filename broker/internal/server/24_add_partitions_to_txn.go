package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/txn"
)

// AddPartitionsToTxn (API key 24), versions 0–5 (KIP-98).
//
//	v2 PRODUCER_FENCED (KIP-588)   v3 flexible (KIP-482)   v4 several transactions, verify only: for brokers (KIP-890)
//	v5 TRANSACTION_ABORTABLE (KIP-890)
//
// Answered when it is durable. Partitions that do not exist keep the others out too: OPERATION_NOT_ATTEMPTED.
func init() { register(24, 0, 5, (*Server).addPartitionsToTxn) }

// txnPartitions are those that a request names in one transaction, as they come.
type txnPartitions struct {
	tps     []txn.TopicPartition
	perName []int // how many of each topic
}

func (s *Server) addPartitionsToTxn(r *Request, req *kmsg.AddPartitionsToTxnRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	if r.Version < 4 {
		var in txnPartitions
		for _, t := range req.Topics {
			in.add(t.Topic, t.Partitions)
		}
		p := txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
		errs := s.addToTxn(r, req.TransactionalID, p, in.tps, false)
		for i, t := range req.Topics {
			topic := kmsg.NewAddPartitionsToTxnResponseTopic()
			topic.Topic = t.Topic
			for range in.perName[i] {
				part := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
				part.Partition, part.ErrorCode = in.tps[0].Partition, code(errs[0])
				s.metrics.failed(24, part.ErrorCode)
				topic.Partitions = append(topic.Partitions, part)
				in.tps, errs = in.tps[1:], errs[1:]
			}
			resp.Topics = append(resp.Topics, topic)
		}
		return resp
	}
	if denied := s.onCluster(r, acl.ClusterAction); denied != nil { // these versions are for brokers
		resp.ErrorCode = denied.Code
		s.metrics.failed(24, resp.ErrorCode)
		return resp
	}
	for i := range req.Transactions {
		resp.Transactions = append(resp.Transactions, s.addTransaction(r, &req.Transactions[i]))
	}
	return resp
}

func (in *txnPartitions) add(topic string, partitions []int32) {
	for _, p := range partitions {
		in.tps = append(in.tps, txn.TopicPartition{Topic: topic, Partition: p})
	}
	in.perName = append(in.perName, len(partitions))
}

func (s *Server) addTransaction(r *Request, t *kmsg.AddPartitionsToTxnRequestTransaction) kmsg.AddPartitionsToTxnResponseTransaction {
	out := kmsg.NewAddPartitionsToTxnResponseTransaction()
	out.TransactionalID = t.TransactionalID
	var in txnPartitions
	for _, topic := range t.Topics {
		in.add(topic.Topic, topic.Partitions)
	}
	errs := s.addToTxn(r, t.TransactionalID, txn.Producer{ID: t.ProducerID, Epoch: t.ProducerEpoch}, in.tps, t.VerifyOnly)
	for i, asked := range t.Topics {
		topic := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
		topic.Topic = asked.Topic
		for range in.perName[i] {
			part := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
			part.Partition, part.ErrorCode = in.tps[0].Partition, code(errs[0])
			s.metrics.failed(24, part.ErrorCode)
			topic.Partitions = append(topic.Partitions, part)
			in.tps, errs = in.tps[1:], errs[1:]
		}
		out.Topics = append(out.Topics, topic)
	}
	return out
}

// addToTxn adds partitions to one transaction, or verifies that they are in it: an error or nil for each.
func (s *Server) addToTxn(r *Request, id string, p txn.Producer, tps []txn.TopicPartition, verify bool) []*kerr.Error {
	if r.Version < 4 {
		if denied := s.onTxn(r, acl.Write, id); denied != nil {
			return all(make([]*kerr.Error, len(tps)), denied)
		}
	}
	errs, ok := s.topicPartitions(r, s.cluster.Image(), tps)
	if !ok {
		return errs
	}
	if verify {
		reply := s.txns.Verify(r.Context(), id, txn.Verify{Producer: p, Partitions: tps})
		if reply.Err == nil {
			return reply.Partitions
		}
		return all(errs, reply.Err)
	}
	in := txn.AddPartitions{Producer: p, Partitions: tps}
	if r.Version >= 4 {
		in.Version = transactionsV2
	}
	return all(errs, fencedAs(s.txns.AddPartitions(r.Context(), id, in), r.Version >= 2))
}

// all sets every error to one.
func all(errs []*kerr.Error, err *kerr.Error) []*kerr.Error {
	for i := range errs {
		errs[i] = err
	}
	return errs
}
