package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/statelog"
	"millrace/broker/internal/txn"
)

// WriteTxnMarkers (API key 27), versions 1–2 (KIP-98).
//
//	v1 flexible   v2 the transaction's version (KIP-890)
//
// Sent by coordinators on other brokers, and by administrators to abort a transaction that hangs
// (KIP-664). The log refuses a marker of an older producer epoch or coordinator.
func init() { register(27, 1, 2, (*Server).writeTxnMarkers) }

func (s *Server) writeTxnMarkers(r *Request, req *kmsg.WriteTxnMarkersRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.WriteTxnMarkersResponse)
	denied := s.onCluster(r, acl.ClusterAction)
	if denied != nil && s.may(r, acl.Alter, acl.Cluster, acl.ClusterName) {
		denied = nil // administrators end hanging transactions (KIP-664)
	}
	at := map[int64]int{} // where a producer stands in the answer
	for i := range req.Markers {
		in := &req.Markers[i]
		n, known := at[in.ProducerID]
		if !known {
			n = len(resp.Markers)
			at[in.ProducerID] = n
			m := kmsg.NewWriteTxnMarkersResponseMarker()
			m.ProducerID = in.ProducerID
			resp.Markers = append(resp.Markers, m)
		}
		out := &resp.Markers[n]
		var asked txnPartitions
		for _, t := range in.Topics {
			asked.add(t.Topic, t.Partitions)
		}
		var errs []*kerr.Error
		if denied != nil {
			errs = all(make([]*kerr.Error, len(asked.tps)), denied)
		} else {
			errs = s.writeMarker(r, in, asked.tps)
		}
		for j, t := range in.Topics {
			topic := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			topic.Topic = t.Topic
			for range asked.perName[j] {
				part := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				part.Partition, part.ErrorCode = asked.tps[0].Partition, code(errs[0])
				s.metrics.failed(27, part.ErrorCode)
				topic.Partitions = append(topic.Partitions, part)
				asked.tps, errs = asked.tps[1:], errs[1:]
			}
			out.Topics = append(out.Topics, topic)
		}
	}
	return resp
}

func (s *Server) writeMarker(r *Request, in *kmsg.WriteTxnMarkersRequestMarker, tps []txn.TopicPartition) []*kerr.Error {
	if in.ProducerID < 0 || in.ProducerEpoch < 0 {
		// Kafka cannot build such a marker and has no other error for it.
		return all(make([]*kerr.Error, len(tps)), kerr.UnknownServerError)
	}
	m := statelog.Marker{Commit: in.Committed, CoordinatorEpoch: in.CoordinatorEpoch}
	if r.Version >= 2 {
		m.Version = int16(in.TransactionVersion)
	}
	return s.markers.Write(r.Context(), txn.Producer{ID: in.ProducerID, Epoch: in.ProducerEpoch}, m, tps)
}
