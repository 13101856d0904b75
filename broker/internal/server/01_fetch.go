package server

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/fetchsession"
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
// What a session's answer leaves out is package fetchsession's to say.
func init() { register(1, 4, 18, (*Server).fetch) }

// fetching is a fetch under way.
type fetching struct {
	session fetchsession.Fetch
	resp    *wire.FetchResponse
	targets []fetchTarget         // as session.Partitions
	found   []wire.FetchPartition // likewise

	limit     int // bytes
	committed bool
	follower  bool // says that it is another broker
}

// fetchTarget is one partition asked for.
type fetchTarget struct {
	partition *replica.Partition // nil: code says why
	code      int16
	mark      replica.Mark // see replica.Waiter
}

// missing tells of a partition that does not exist, for this client, which does not hurry the others.
func (t fetchTarget) missing() bool {
	return t.code == kerr.UnknownTopicID.Code || t.code == kerr.UnknownTopicOrPartition.Code || t.code == kerr.TopicAuthorizationFailed.Code
}

// The isolation levels.
const (
	readUncommitted = 0
	readCommitted   = 1
)

func (s *Server) fetch(r *Request, req *kmsg.FetchRequest) kmsg.Response {
	resp := &wire.FetchResponse{}
	resp.Version = r.Version
	refused := func(err *kerr.Error) kmsg.Response {
		resp.ErrorCode = err.Code
		s.metrics.failed(1, err.Code)
		return resp
	}
	if req.IsolationLevel != readUncommitted && req.IsolationLevel != readCommitted {
		resp.Topics = refusedTopics(r.Version, req, kerr.UnknownServerError)
		return refused(kerr.UnknownServerError) // as Kafka, which has no other for it
	}
	session, err := s.fetchSessions.Begin(fetchWants(r.Version, req), time.Now(), s.topicName)
	if err != nil {
		return refused(err)
	}
	f := &fetching{session: session, resp: resp, limit: s.fetchLimit(req.MaxBytes), committed: req.IsolationLevel == readCommitted}
	f.follower = req.ReplicaID >= 0 && r.Version < 15 || req.ReplicaState.ID >= 0 && r.Version >= 15
	waits := s.fetchTargets(r, f)
	if s.faults != nil {
		if h := s.faultyFetch(r, f.targets); h != nil {
			return h
		}
	}
	f.limit = s.fetchWithin(r, req, f.limit)
	minBytes := min(int(req.MinBytes), f.limit)
	size, now := s.readAll(f)
	deadline := time.Now().Add(s.maxWait(req.MaxWaitMillis))
	for wait := waits && req.MaxWaitMillis > 0; wait && size < minBytes && !now; wait = wait && f.committed {
		from := time.Now()
		wait = s.awaitBytes(r, f, int64(minBytes-size), time.Until(deadline))
		r.waited += time.Since(from)
		resp.Done()
		size, now = s.readAll(f)
	}
	if size > 0 {
		s.fetched.Add(int64(size))
		resp.Release = append(resp.Release, func() { s.fetched.Add(int64(-size)) })
	}
	if err := s.answerFetch(r, f, time.Now()); err != nil {
		resp.Done()
		return refused(err)
	}
	for i := range f.found {
		s.metrics.recordBytesOut.Add(float64(f.found[i].RecordBytes))
		s.metrics.failed(1, f.found[i].ErrorCode)
	}
	return resp
}

// refusedTopics names the partitions of a request that is refused as a whole: before version 13 each has the error too.
func refusedTopics(version int16, req *kmsg.FetchRequest, err *kerr.Error) []wire.FetchTopic {
	if version >= 13 {
		return nil
	}
	out := make([]wire.FetchTopic, len(req.Topics))
	for i := range req.Topics {
		out[i].Name = req.Topics[i].Topic
		for j := range req.Topics[i].Partitions {
			p := wire.NewFetchPartition(req.Topics[i].Partitions[j].Partition)
			p.ErrorCode, p.Aborted = err.Code, []wire.AbortedTxn{}
			out[i].Partitions = append(out[i].Partitions, p)
		}
	}
	return out
}

// fetchWants is what a request says of partitions. Topics are asked for by id from version 13 on.
func fetchWants(version int16, req *kmsg.FetchRequest) fetchsession.Request {
	n := 0
	for i := range req.Topics {
		n += len(req.Topics[i].Partitions)
	}
	out := fetchsession.Request{SessionID: req.SessionID, Epoch: req.SessionEpoch, ByID: version >= 13}
	if n > 0 {
		out.Wants = make([]fetchsession.Partition, 0, n)
	}
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			in := &t.Partitions[j]
			p := fetchsession.Partition{
				Topic: t.Topic, ID: t.TopicID, Index: in.Partition, Offset: in.FetchOffset, MaxBytes: in.PartitionMaxBytes,
				LeaderEpoch: max(in.CurrentLeaderEpoch, -1), LastFetchedEpoch: in.LastFetchedEpoch,
			}
			if version < 9 {
				p.LeaderEpoch = -1
			}
			if version < 12 {
				p.LastFetchedEpoch = -1
			}
			out.Wants = append(out.Wants, p)
		}
	}
	for i := range req.ForgottenTopics {
		t := &req.ForgottenTopics[i]
		for _, index := range t.Partitions {
			out.Forget = append(out.Forget, fetchsession.Partition{Topic: t.Topic, ID: t.TopicID, Index: index})
		}
	}
	return out
}

// topicName is the name of the topic that has this id now, empty if none has.
func (s *Server) topicName(id [16]byte) string {
	if t := s.cluster.Image().TopicByID(id); t != nil {
		return t.Name
	}
	return ""
}

// answerFetch closes the books: what the session knows to be quiet is left out, and what a quota withholds counts as untold.
func (s *Server) answerFetch(r *Request, f *fetching, now time.Time) (err *kerr.Error) {
	parts := f.session.Partitions
	for i := range parts {
		p, out := &parts[i], &f.found[i]
		p.Bytes, p.Code, p.Diverges = out.RecordBytes, out.ErrorCode, out.DivergingEpoch >= 0
		p.HighWatermark, p.LogStart = out.HighWatermark, out.LogStartOffset
	}
	if s.throttleFetch(r, f) {
		f.resp.Done()
		f.found = nil
		f.resp.SessionID, err = f.session.Withhold()
		return err
	}
	if f.resp.SessionID, err = f.session.End(now); err != nil {
		return err
	}
	f.found = f.layOut(f.found[:0])
	return nil
}

// layOut puts what is answered together, by topic: first the partitions that were read, then those that are not there.
// It appends them to out, which may be what was found itself.
func (f *fetching) layOut(out []wire.FetchPartition) []wire.FetchPartition {
	f.resp.Topics = nil
	parts, passes := f.session.Partitions, 1
	if slices.ContainsFunc(f.targets, fetchTarget.missing) {
		out, passes = make([]wire.FetchPartition, 0, len(parts)), 2
	}
	for pass := range passes {
		for i := range parts {
			p := &parts[i]
			if p.Quiet || passes == 2 && f.targets[i].missing() != (pass == 1) {
				continue
			}
			out = append(out, f.found[i])
			n := len(f.resp.Topics)
			if n == 0 || f.resp.Topics[n-1].ID != p.ID || f.resp.Topics[n-1].Name != p.Topic {
				f.resp.Topics = append(f.resp.Topics, wire.FetchTopic{Name: p.Topic, ID: p.ID, Partitions: out[len(out)-1:]})
				continue
			}
			of := &f.resp.Topics[n-1].Partitions
			*of = (*of)[:len(*of)+1]
		}
	}
	return out
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

// fetchTargets finds the partitions. It reports false when there is none to wait for.
func (s *Server) fetchTargets(r *Request, f *fetching) (waits bool) {
	broker := f.follower && s.onCluster(r, acl.ClusterAction) == nil
	parts := f.session.Partitions
	f.targets = make([]fetchTarget, len(parts))
	f.found = make([]wire.FetchPartition, len(parts))
	for i := range parts {
		in, t := &parts[i], &f.targets[i]
		f.found[i].Partition = in.Index
		if in.Topic == "" && f.resp.Version >= 13 {
			t.code = kerr.UnknownTopicID.Code
			continue
		}
		if f.follower && !broker || !f.follower && s.onTopic(r, acl.Read, in.Topic) != nil {
			t.code = kerr.TopicAuthorizationFailed.Code
			continue
		}
		p, err := s.replicas.Get(in.Topic, in.Index)
		if err != nil {
			t.code = s.codeOf(err, "fetch", in.Topic, in.Index)
			continue
		}
		t.partition, waits = p, true
		if in.ID != [16]byte{} && p.ID != in.ID {
			t.partition, t.code = nil, kerr.InconsistentTopicID.Code
		}
	}
	return waits
}

// readAll reads every target once, in order, within the limit. now says that the answer is not to be
// delayed: a partition cannot be read as asked, or has parted ways with the client. One that is not there does
// not hurry the others.
func (s *Server) readAll(f *fetching) (size int, now bool) {
	left := f.limit
	for i := range f.targets {
		t, in, out := &f.targets[i], &f.session.Partitions[i], &f.found[i]
		*out = wire.NewFetchPartition(in.Index)
		if t.partition == nil {
			out.ErrorCode = t.code
			if t.missing() {
				out.Aborted = []wire.AbortedTxn{} // as Kafka, where nothing was read
			} else {
				now = true
			}
			continue
		}
		t.mark = t.partition.Mark()
		now = s.readOne(f, t.partition, in, out, min(int(in.MaxBytes), left), size == 0) || now
		size += out.RecordBytes
		left = max(left-out.RecordBytes, 0)
	}
	return size, now
}

func (s *Server) readOne(f *fetching, p *replica.Partition, in *fetchsession.Partition, out *wire.FetchPartition, maxBytes int, minOne bool) (now bool) {
	if err := p.CheckEpoch(in.LeaderEpoch); err != nil {
		out.ErrorCode = s.codeOf(err, "fetch", p.Name.Topic, p.Name.Index)
		return true
	}
	if f.follower {
		// No other broker has a copy. Whoever knows the epoch is told that this was news to us (Partition.followerReplicaOrThrow).
		out.ErrorCode = kerr.NotLeaderForPartition.Code
		if in.LeaderEpoch >= 0 {
			out.ErrorCode = kerr.UnknownLeaderEpoch.Code
		}
		return true
	}
	if in.LastFetchedEpoch >= 0 {
		// What the client read last was written under that epoch; if the epoch ended
		// before its offset here, the two logs differ from there on.
		epoch, end := p.Log().EpochEnd(record.Epoch(in.LastFetchedEpoch))
		if end < 0 {
			out.ErrorCode = kerr.OffsetOutOfRange.Code
			return true
		}
		if int32(epoch) < in.LastFetchedEpoch || int64(end) < in.Offset {
			out.HighWatermark = int64(p.HighWatermark())
			out.LastStableOffset = int64(p.LastStableOffset())
			out.LogStartOffset = int64(p.StartOffset())
			out.DivergingEpoch, out.DivergingEndOffset = int32(epoch), int64(end)
			return true
		}
	}
	if maxBytes < 0 {
		out.ErrorCode = kerr.UnknownServerError.Code // as Kafka, which has no other for it
		return true
	}
	span, at, err := p.Read(record.Offset(in.Offset), maxBytes, minOne, f.committed)
	if err == nil && f.committed {
		out.Aborted, err = abortedIn(p, span, record.Offset(in.Offset))
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
	f.resp.Release = append(f.resp.Release, held.Release)
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
func (s *Server) awaitBytes(r *Request, f *fetching, missing int64, wait time.Duration) bool {
	if wait <= 0 {
		return false
	}
	w := replica.NewWaiter(missing)
	if f.committed {
		w = replica.NewCommittedWaiter()
	}
	for i := range f.targets {
		if p := f.targets[i].partition; p != nil {
			p.Watch(w, f.targets[i].mark)
			defer p.Unwatch(w)
		}
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-w.C:
		for i := range f.targets {
			if p := f.targets[i].partition; p != nil && p.Gone() {
				return false
			}
		}
		return true
	case <-timer.C:
	case <-r.Context().Done():
	}
	return false
}
