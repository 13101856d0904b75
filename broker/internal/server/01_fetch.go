package server

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/record"
	"millrace/broker/internal/replica"
	"millrace/broker/internal/storage"
	"millrace/broker/internal/wire"
)

// Fetch (API key 1), versions 4–18.
//
//	v4 isolation level (KIP-98)   v5 log start offset   v7 sessions (KIP-227)   v9 leader epoch (KIP-320)
//	v11 rack (KIP-392)   v12 flexible, last fetched epoch (KIP-595)   v13 topic ids (KIP-516)
//	v15 replica state (KIP-903)   v16 leader told (KIP-951)   v17 directory id (KIP-853)   v18 high watermark
//
// Records go from the log to the socket as spans, never copied into the answer.
// A fetch that finds too little waits for max wait or until min bytes have come
// into any of its partitions; it has no goroutine or timer besides its connection's.
//
// A reader of committed records gets them up to the last stable offset, and is told which
// transactions in them were aborted; it leaves their records out itself.
//
// Left out: sessions are declined by answering session id 0, which KIP-227 allows.
func init() { register(1, 4, 18, (*Server).fetch) }

// fetchTarget is one partition asked for.
type fetchTarget struct {
	partition        *replica.Partition // nil: code says why
	code             int16
	topic, at        int // where in the response
	offset           record.Offset
	maxBytes         int
	leaderEpoch      int32
	lastFetchedEpoch int32
	mark             replica.Mark // see replica.Waiter
}

// The isolation levels.
const (
	readUncommitted = 0
	readCommitted   = 1
)

func (s *Server) fetch(r *Request, req *kmsg.FetchRequest) kmsg.Response {
	resp := &wire.FetchResponse{}
	resp.Version = r.Version
	if req.SessionID != 0 && req.SessionEpoch > 0 {
		// An incremental request of a session that we never opened.
		resp.ErrorCode = kerr.FetchSessionIDNotFound.Code
		s.metrics.failed(1, resp.ErrorCode)
		return resp
	}
	if req.IsolationLevel != readUncommitted && req.IsolationLevel != readCommitted {
		resp.ErrorCode = kerr.UnknownServerError.Code // as Kafka, which has no other for it
		s.metrics.failed(1, resp.ErrorCode)
		return resp
	}
	committed := req.IsolationLevel == readCommitted
	targets := s.fetchTargets(r, req, resp)
	if s.faults != nil {
		if h := s.faultyFetch(r, targets); h != nil {
			return h
		}
	}
	limit := s.fetchWithin(r, req, s.fetchLimit(req.MaxBytes))
	size, now := s.readAll(resp, targets, limit, committed)
	deadline := time.Now().Add(s.maxWait(req.MaxWaitMillis))
	for wait := req.MaxWaitMillis > 0; wait && size < int(req.MinBytes) && !now && len(targets) > 0; wait = wait && committed {
		from := time.Now()
		wait = s.awaitBytes(r, targets, int64(int(req.MinBytes)-size), committed, time.Until(deadline))
		r.waited += time.Since(from)
		resp.Done()
		size, now = s.readAll(resp, targets, limit, committed)
	}
	if size > 0 {
		s.fetched.Add(int64(size))
		resp.Release = append(resp.Release, func() { s.fetched.Add(int64(-size)) })
	}
	s.throttleFetch(r, resp)
	s.metrics.recordBytesOut.Add(float64(resp.Bytes()))
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			s.metrics.failed(1, resp.Topics[i].Partitions[j].ErrorCode)
		}
	}
	return resp
}

// fetchLimit is how many bytes one answer may have.
func (s *Server) fetchLimit(asked int32) int {
	limit := int64(min(asked, s.cluster.Image().Config.FetchMaxBytes))
	return int(min(limit, max(fetchedMax-s.fetched.Load(), fetchedLow)))
}

// maxWait is how long a fetch may wait: what it asks for, but no longer than a
// connection may be idle, so that one whose client is gone does not wait for weeks.
func (s *Server) maxWait(ms int32) time.Duration {
	wait := int64(ms)
	if idle := s.cluster.Image().Config.ConnectionsMaxIdleMs; idle >= 0 {
		wait = min(wait, idle)
	}
	return time.Duration(wait) * time.Millisecond
}

// fetchTargets finds the partitions asked for and makes room for them in resp.
func (s *Server) fetchTargets(r *Request, req *kmsg.FetchRequest, resp *wire.FetchResponse) []fetchTarget {
	n := 0
	for i := range req.Topics {
		n += len(req.Topics[i].Partitions)
	}
	targets := make([]fetchTarget, 0, n)
	parts := make([]wire.FetchPartition, n)
	resp.Topics = make([]wire.FetchTopic, len(req.Topics))
	image := s.cluster.Image()
	for i := range req.Topics {
		t := &req.Topics[i]
		name, known := t.Topic, true
		if r.Version >= 13 {
			if topic := image.TopicByID(t.TopicID); topic != nil {
				name = topic.Name
			} else {
				known = false
			}
		}
		out := &resp.Topics[i]
		out.Name, out.ID = t.Topic, t.TopicID
		out.Partitions, parts = parts[:len(t.Partitions):len(t.Partitions)], parts[len(t.Partitions):]
		for j := range t.Partitions {
			in := &t.Partitions[j]
			out.Partitions[j] = wire.NewFetchPartition(in.Partition)
			target := fetchTarget{
				topic: i, at: j, offset: record.Offset(in.FetchOffset), maxBytes: int(in.PartitionMaxBytes),
				leaderEpoch: in.CurrentLeaderEpoch, lastFetchedEpoch: in.LastFetchedEpoch,
			}
			if r.Version < 9 {
				target.leaderEpoch = -1
			}
			if r.Version < 12 {
				target.lastFetchedEpoch = -1
			}
			if known {
				p, err := s.replicas.Get(name, in.Partition)
				target.partition, target.code = p, s.codeOf(err, "fetch", name, in.Partition)
				if p != nil && r.Version >= 13 && p.ID != t.TopicID {
					target.partition, target.code = nil, kerr.UnknownTopicID.Code
				}
			} else {
				target.code = kerr.UnknownTopicID.Code
			}
			targets = append(targets, target)
		}
	}
	return targets
}

// readAll reads every target once, in the order of the request, within limit.
// now says that the answer is not to be delayed: a partition has an error or has
// parted ways with the client.
func (s *Server) readAll(resp *wire.FetchResponse, targets []fetchTarget, limit int, committed bool) (size int, now bool) {
	for i := range targets {
		t := &targets[i]
		out := &resp.Topics[t.topic].Partitions[t.at]
		*out = wire.NewFetchPartition(out.Partition)
		if t.partition == nil {
			out.ErrorCode, out.Aborted, now = t.code, []wire.AbortedTxn{}, true
			continue
		}
		t.mark = t.partition.Mark()
		now = s.readOne(resp, t, out, min(t.maxBytes, limit-size), size == 0, committed) || now
		size += out.RecordBytes
	}
	return size, now
}

func (s *Server) readOne(resp *wire.FetchResponse, t *fetchTarget, out *wire.FetchPartition, maxBytes int, minOne, committed bool) (now bool) {
	p := t.partition
	if err := p.CheckEpoch(t.leaderEpoch); err != nil {
		out.ErrorCode = s.codeOf(err, "fetch", p.Name.Topic, p.Name.Index)
		return true
	}
	if t.lastFetchedEpoch >= 0 {
		// What the client read last was written under that epoch; if the epoch ended
		// before its offset here, the two logs differ from there on.
		epoch, end := p.Log().EpochEnd(record.Epoch(t.lastFetchedEpoch))
		if end < 0 {
			out.ErrorCode = kerr.OffsetOutOfRange.Code
			return true
		}
		if int32(epoch) < t.lastFetchedEpoch || end < t.offset {
			out.HighWatermark = int64(p.HighWatermark())
			out.LastStableOffset = int64(p.LastStableOffset())
			out.LogStartOffset = int64(p.StartOffset())
			out.DivergingEpoch, out.DivergingEndOffset = int32(epoch), int64(end)
			return true
		}
	}
	span, at, err := p.Read(t.offset, max(maxBytes, 0), minOne, committed)
	if err == nil && committed {
		out.Aborted, err = abortedIn(p, span, t.offset)
	}
	if err != nil {
		span.Release()
		out.Aborted = nil
		out.ErrorCode = s.codeOf(err, "fetch", p.Name.Topic, p.Name.Index)
		return true
	}
	out.HighWatermark, out.LastStableOffset = int64(at.HighWatermark), int64(at.LastStable)
	out.LogStartOffset = int64(p.StartOffset())
	if span.Len() == 0 {
		span.Release()
		return false
	}
	out.Records = span.AppendTo(nil)
	out.RecordBytes = span.Len()
	held := new(storage.Span)
	*held = span
	resp.Release = append(resp.Release, held.Release)
	return false
}

// abortedIn lists the aborted transactions with records in a span that was read from an offset on.
func abortedIn(p *replica.Partition, span storage.Span, from record.Offset) ([]wire.AbortedTxn, error) {
	out := []wire.AbortedTxn{}
	if span.Len() == 0 {
		return out, nil
	}
	aborted, err := p.Log().AbortedTxns(from, span.NextOffset())
	for _, a := range aborted {
		out = append(out, wire.AbortedTxn{ProducerID: a.ProducerID, FirstOffset: int64(a.First)})
	}
	return out, err
}

// awaitBytes waits until missing bytes came into the targets together, wait is
// over, a partition is lost, or the connection ends. For committed records it returns as
// soon as more are decided. It reports false when there is nothing more to wait for.
func (s *Server) awaitBytes(r *Request, targets []fetchTarget, missing int64, committed bool, wait time.Duration) bool {
	if wait <= 0 {
		return false
	}
	w := replica.NewWaiter(missing)
	if committed {
		w = replica.NewCommittedWaiter()
	}
	for i := range targets {
		targets[i].partition.Watch(w, targets[i].mark)
		defer targets[i].partition.Unwatch(w)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-w.C:
		for i := range targets {
			if targets[i].partition.Gone() {
				return false
			}
		}
		return true
	case <-timer.C:
	case <-r.Context().Done():
	}
	return false
}
