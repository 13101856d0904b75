package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/replica"
	"millrace/broker/internal/storage"
)

// ListOffsets (API key 2), versions 1–11.
//
//	v1 one offset per partition (KIP-79)   v2 isolation level   v4 leader epoch (KIP-320)   v6 flexible
//	v7 max timestamp (KIP-734)   v8 earliest local   v9 latest tiered (KIP-405, KIP-1005)
//	v10 timeout (KIP-1075)   v11 earliest pending upload (KIP-1023)
//
// Nothing is tiered: the earliest local offset is the earliest, and there is no tiered one.
func init() { register(2, 1, 11, (*Server).listOffsets) }

// The timestamps that stand for something else.
const (
	latestOffset          = -1
	earliestOffset        = -2
	maxTimestampOffset    = -3
	earliestLocalOffset   = -4
	latestTieredOffset    = -5
	earliestPendingOffset = -6
)

// listOffsetsSince says from which version on a special timestamp is understood.
var listOffsetsSince = map[int64]int16{
	latestOffset: 1, earliestOffset: 1, maxTimestampOffset: 7, earliestLocalOffset: 8, latestTieredOffset: 9, earliestPendingOffset: 11,
}

func (s *Server) listOffsets(r *Request, req *kmsg.ListOffsetsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	seen := make(map[storage.Partition]int)
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			seen[storage.Partition{Topic: t.Topic, Index: p.Partition}]++
		}
	}
	for _, t := range req.Topics {
		if len(t.Partitions) == 0 {
			continue // as Kafka, which groups its answers by topic
		}
		out := kmsg.NewListOffsetsResponseTopic()
		out.Topic = t.Topic
		denied := s.onTopic(r, acl.Describe, t.Topic)
		for _, p := range t.Partitions {
			part := kmsg.NewListOffsetsResponseTopicPartition()
			part.Partition = p.Partition
			part.Offset, part.Timestamp, part.LeaderEpoch = -1, -1, -1
			if denied != nil {
				part.ErrorCode = denied.Code
			} else if seen[storage.Partition{Topic: t.Topic, Index: p.Partition}] > 1 {
				part.ErrorCode = kerr.InvalidRequest.Code
			} else {
				s.listOffset(r.Version, req.IsolationLevel, t.Topic, p, &part)
			}
			s.metrics.failed(2, part.ErrorCode)
			out.Partitions = append(out.Partitions, part)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (s *Server) listOffset(version int16, isolation int8, topic string, in kmsg.ListOffsetsRequestTopicPartition, out *kmsg.ListOffsetsResponseTopicPartition) {
	if since, ok := listOffsetsSince[in.Timestamp]; in.Timestamp < 0 && (!ok || version < since) {
		out.ErrorCode = kerr.UnsupportedVersion.Code
		return
	}
	if version >= 2 && isolation != readUncommitted && isolation != readCommitted {
		out.ErrorCode = kerr.UnknownServerError.Code // as Kafka, which has no other for it
		return
	}
	p, err := s.replicas.Get(topic, in.Partition)
	if err == nil && version >= 4 {
		err = p.CheckEpoch(in.CurrentLeaderEpoch)
	}
	if err == nil {
		err = findOffset(p, in.Timestamp, version >= 2 && isolation == readCommitted, out)
	}
	out.ErrorCode = s.codeOf(err, "list offsets", topic, in.Partition)
}

// findOffset answers for one partition. What lies above the high watermark, or for readers of
// committed records above the last stable offset, is not there yet.
func findOffset(p *replica.Partition, timestamp int64, committed bool, out *kmsg.ListOffsetsResponseTopicPartition) error {
	var found storage.TimestampOffset
	var err error
	end := p.HighWatermark()
	if committed {
		end = p.LastStableOffset()
	}
	switch timestamp {
	case latestOffset:
		out.Offset, out.LeaderEpoch = int64(end), int32(p.LeaderEpoch())
		return nil
	case earliestOffset, earliestLocalOffset:
		start := p.StartOffset()
		out.Offset, out.LeaderEpoch = int64(start), int32(p.Log().EpochAt(start))
		return nil
	case latestTieredOffset, earliestPendingOffset:
		return nil
	case maxTimestampOffset:
		found, err = p.Log().OffsetForMaxTime()
	default:
		found, err = p.Log().OffsetForTime(timestamp)
	}
	if err != nil || found.Offset < 0 || found.Offset >= end {
		return err
	}
	out.Offset, out.Timestamp, out.LeaderEpoch = int64(found.Offset), found.Timestamp, int32(found.LeaderEpoch)
	return nil
}
