package server

import (
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/record"
	"millrace/broker/internal/replica"
	"millrace/broker/internal/share"
	"millrace/broker/internal/shares"
	"millrace/broker/internal/storage"
)

// ShareFetch (API key 78), versions 1–2 (KIP-932).
//
//	v1 max records, batch size   v2 strict limit (KIP-1206), renewing (KIP-1222)
//
// Gives the member of a share group records to work on, for a while, and takes in what it
// says of earlier ones. The answer has whole batches of the log, and which of their records
// the member has acquired. A fetch that finds nothing waits for new records, or for some
// that others give back.
func init() { register(78, 1, 2, (*Server).shareFetch) }

// shareLoads is how many partitions one fetch has loaded besides those that it waits for.
const shareLoads = 16

// strictLimit is the mode of version 2 in which max records is a limit.
const strictLimit = 1

// shareAnswer gathers a response: a topic's partitions together, in the order they came.
type shareAnswer struct {
	resp *kmsg.ShareFetchResponse
	at   map[shares.TopicPartition][2]int
}

func (a *shareAnswer) partition(tp shares.TopicPartition) *kmsg.ShareFetchResponseTopicPartition {
	if at, ok := a.at[tp]; ok {
		return &a.resp.Topics[at[0]].Partitions[at[1]]
	}
	topic := 0
	for topic < len(a.resp.Topics) && a.resp.Topics[topic].TopicID != tp.Topic {
		topic++
	}
	if topic == len(a.resp.Topics) {
		t := kmsg.NewShareFetchResponseTopic()
		t.TopicID = tp.Topic
		a.resp.Topics = append(a.resp.Topics, t)
	}
	p := kmsg.NewShareFetchResponseTopicPartition()
	p.Partition, p.Records = tp.Partition, []byte{} // Java's clients fail on null
	ps := append(a.resp.Topics[topic].Partitions, p)
	a.resp.Topics[topic].Partitions = ps
	a.at[tp] = [2]int{topic, len(ps) - 1}
	return &ps[len(ps)-1]
}

func (s *Server) shareFetch(r *Request, req *kmsg.ShareFetchRequest) kmsg.Response {
	resp := kmsg.NewPtrShareFetchResponse()
	answer := &shareAnswer{resp, map[shares.TopicPartition][2]int{}}
	group, member := orEmpty(req.GroupID), orEmpty(req.MemberID)
	refuse := func(err *kerr.Error, message string) kmsg.Response {
		resp.ErrorCode, resp.ErrorMessage = err.Code, &message
		s.metrics.failed(78, resp.ErrorCode)
		return resp
	}
	acks, full := shareFetchAcks(req)
	if denied := s.onGroup(r, acl.Read, group); denied != nil {
		return refuse(denied, *deniedText(denied))
	}
	switch {
	case req.GroupID == nil:
		return refuse(kerr.InvalidRequest, "A share fetch needs a group.")
	case req.ShareSessionEpoch == shares.OpenEpoch && len(acks) > 0:
		return refuse(kerr.InvalidRequest, "The first request of a share session cannot acknowledge.")
	case req.IsRenewAck && (req.MaxWaitMillis > 0 || req.MinBytes > 0 || req.MaxBytes > 0 || req.MaxRecords > 0):
		return refuse(kerr.InvalidRequest, "A request that renews cannot fetch.")
	case r.Version >= 2 && req.ShareAcquireMode != 0 && req.ShareAcquireMode != strictLimit:
		return refuse(kerr.UnknownServerError, "There is no such mode.") // as Kafka, which has no other for it
	}
	session, closing, err := s.shareSession(r, group, member, req.ShareSessionEpoch)
	if err != nil {
		return refuse(err, err.Description)
	}
	image := s.cluster.Image()
	settings := image.Group(group)
	resp.AcquisitionLockTimeoutMillis = settings.ShareRecordLockDurationMs
	s.acknowledge(r, group, member, acks, req.IsRenewAck)
	for i := range acks {
		p := answer.partition(acks[i].tp)
		p.AcknowledgeErrorCode = acks[i].code
		s.metrics.failed(78, acks[i].code)
	}
	if closing {
		s.endShareSession(group, member, session)
		return resp
	}
	for _, tp := range full {
		if topic := image.TopicByID(tp.Topic); topic == nil {
			answer.partition(tp).ErrorCode = kerr.UnknownTopicID.Code
		} else if denied := s.onTopic(r, acl.Read, topic.Name); denied != nil {
			answer.partition(tp).ErrorCode = denied.Code
		} else if topic.Partition(tp.Partition) == nil {
			answer.partition(tp).ErrorCode = kerr.UnknownTopicOrPartition.Code
		} else {
			session.Add(tp)
		}
	}
	for i := range req.ForgottenTopicsData {
		for _, p := range req.ForgottenTopicsData[i].Partitions {
			session.Remove(shares.TopicPartition{Topic: req.ForgottenTopicsData[i].TopicID, Partition: p})
		}
	}
	if req.MaxRecords > 0 && req.MaxBytes > 0 {
		f := &shareFetching{
			s: s, r: r, answer: answer, session: session, group: group, member: member,
			left: int64(req.MaxRecords), bytes: s.fetchLimit(req.MaxBytes), batch: int64(max(req.BatchSize, 1)),
			strict: req.ShareAcquireMode == strictLimit, committed: settings.ShareIsolationLevel == "read_committed",
			set: shareSettings(settings),
		}
		f.run(len(acks) > 0, time.Now().Add(s.maxWait(req.MaxWaitMillis)))
	}
	return resp
}

// shareFetchAcks lists what a request says of records, and all partitions that it names.
func shareFetchAcks(req *kmsg.ShareFetchRequest) (acks []acknowledging, all []shares.TopicPartition) {
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			tp := shares.TopicPartition{Topic: t.TopicID, Partition: p.Partition}
			all = append(all, tp)
			if len(p.AcknowledgementBatches) == 0 {
				continue
			}
			a := acknowledging{tp: tp}
			for _, b := range p.AcknowledgementBatches {
				a.acks = append(a.acks, share.Ack{First: b.FirstOffset, Last: b.LastOffset, Types: b.AcknowledgeTypes})
			}
			acks = append(acks, a)
		}
	}
	return acks, all
}

// shareFetching acquires records for one request.
type shareFetching struct {
	s             *Server
	r             *Request
	answer        *shareAnswer
	session       *shares.Session
	group, member string
	left          int64 // records
	bytes         int
	batch         int64
	strict        bool
	committed     bool
	set           share.Settings
	got           bool // something to tell without waiting
}

// run looks at all partitions, and again as long as there is nothing and time is left.
func (f *shareFetching) run(answered bool, deadline time.Time) {
	wake := make(chan struct{}, 1)
	for {
		again := f.look(wake)
		if f.got || answered || !time.Now().Before(deadline) {
			again.stop()
			return
		}
		from := time.Now()
		timer := time.NewTimer(time.Until(deadline))
		select {
		case <-wake:
		case <-again.records.C:
		case <-timer.C:
		case <-f.r.Context().Done():
			deadline = time.Time{}
		}
		f.r.waited += time.Since(from)
		timer.Stop()
		again.stop()
	}
}

// shareWatch wakes a fetch that has found nothing.
type shareWatch struct {
	records *replica.Waiter
	undo    []func()
}

func (w *shareWatch) stop() {
	for _, f := range w.undo {
		f()
	}
}

// look acquires what there is. It watches the partitions before it looks, so that nothing
// that comes in between is missed. With something to answer, it does not wait for partitions
// that have to be loaded first: as with Kafka, a member's first records are those of one partition.
func (f *shareFetching) look(wake chan struct{}) *shareWatch {
	w := &shareWatch{records: replica.NewWaiter(1)}
	if f.committed {
		w.records = replica.NewCommittedWaiter()
	}
	prepared := 0
	for _, tp := range f.session.Partitions() {
		if f.left <= 0 || f.bytes <= 0 {
			break
		}
		from, code := f.s.findShare(f.r, f.group, tp)
		if code == 0 && f.got && f.s.shares.Loaded(from.key) == nil {
			if prepared++; prepared <= shareLoads {
				f.s.prepareShare(from)
			}
			continue
		}
		var p sharePartition
		if code == 0 {
			p, code = f.s.loadShare(f.r.Context(), from)
		}
		if code != 0 {
			f.fail(tp, code)
			f.s.metrics.failed(78, code)
			continue
		}
		p.Watch(wake)
		mark := p.log.Mark()
		p.log.Watch(w.records, mark)
		w.undo = append(w.undo, func() { p.Unwatch(wake); p.log.Unwatch(w.records) })
		f.acquire(tp, p)
	}
	return w
}

// fail answers a partition with an error, and with who leads it: a client may go where the fields point for any error, and
// left out they point to node 0. Kafka fills them in where it leads no longer; a request that is wrong is answered as by it.
func (f *shareFetching) fail(tp shares.TopicPartition, code int16) {
	f.got = true
	out := f.answer.partition(tp)
	out.ErrorCode = code
	leader, epoch, at, ok := f.s.shareLeader(f.r, tp)
	if !ok {
		return
	}
	out.CurrentLeader.LeaderID, out.CurrentLeader.LeaderEpoch = leader, epoch
	resp := f.answer.resp
	if !slices.ContainsFunc(resp.NodeEndpoints, func(n kmsg.ShareFetchResponseNodeEndpoint) bool { return n.NodeID == leader }) {
		n := kmsg.NewShareFetchResponseNodeEndpoint()
		n.NodeID, n.Host, n.Port = leader, at.Host, at.Port
		resp.NodeEndpoints = append(resp.NodeEndpoints, n)
	}
}

func (f *shareFetching) acquire(tp shares.TopicPartition, p sharePartition) {
	start := int64(p.log.StartOffset())
	offset, ok := p.NextFetch(f.set)
	if ok && offset < start {
		p.LogStart(start)
		offset, ok = p.NextFetch(f.set)
	}
	if !ok {
		return
	}
	span, _, err := p.log.Read(record.Offset(offset), f.bytes, !f.got, f.committed)
	var outside *storage.OffsetRangeError
	if errors.As(err, &outside) {
		return // retention was faster, or the log is shorter than it was: the next fetch will see
	}
	if err != nil {
		f.fail(tp, f.s.codeOf(err, "share fetch", p.log.Name.Topic, tp.Partition))
		return
	}
	defer span.Release()
	if span.Len() == 0 {
		return
	}
	take := share.Take{Member: f.member, MaxRecords: f.left, Strict: f.strict, BatchSize: f.batch}
	bytes := span.Bytes()
	if err := f.describe(p.log, bytes, record.Offset(offset), &take); err != nil {
		f.fail(tp, f.s.codeOf(err, "share fetch", p.log.Name.Topic, tp.Partition))
		return
	}
	given := p.Acquire(take)
	if len(given) == 0 {
		return
	}
	out := f.answer.partition(tp)
	for _, g := range given {
		f.left -= g.Last - g.First + 1
		a := kmsg.NewShareFetchResponseTopicPartitionAcquiredRecord()
		a.FirstOffset, a.LastOffset, a.DeliveryCount = g.First, g.Last, g.DeliveryCount
		out.AcquiredRecords = append(out.AcquiredRecords, a)
	}
	out.Records = cutRecords(bytes, given[0].First, given[len(given)-1].Last)
	f.bytes -= len(out.Records)
	f.s.metrics.recordBytesOut.Add(float64(len(out.Records)))
	f.got = true
}

// describe lists the batches of what was read. Markers of transactions are for nobody, and
// records of aborted ones are not for a group that reads committed records.
func (f *shareFetching) describe(log *replica.Partition, bytes []byte, from record.Offset, take *share.Take) error {
	var aborted []storage.AbortedTxn
	for first := true; len(bytes) > 0; first = false {
		b, rest, err := record.Next(bytes)
		if err != nil {
			return err
		}
		bytes = rest
		s := share.Span{First: int64(b.BaseOffset()), Last: int64(b.LastOffset())}
		take.Spans = append(take.Spans, s)
		if first && f.committed {
			if aborted, err = log.Log().AbortedTxns(from, log.LastStableOffset()); err != nil {
				return err
			}
		}
		if b.Control() {
			take.Skip = append(take.Skip, s)
			continue
		}
		for _, a := range aborted {
			if b.Transactional() && a.ProducerID == b.ProducerID() && a.First <= b.BaseOffset() && b.LastOffset() <= a.Last {
				take.Skip = append(take.Skip, s)
				break
			}
		}
	}
	return nil
}

// cutRecords copies the batches that have records from first to last.
func cutRecords(bytes []byte, first, last int64) []byte {
	from, to := 0, 0
	for at := 0; at < len(bytes); {
		b, _, err := record.Next(bytes[at:])
		if err != nil {
			break
		}
		if int64(b.LastOffset()) < first {
			from = at + b.Size()
		}
		at += b.Size()
		if int64(b.BaseOffset()) <= last {
			to = at
		}
	}
	return append([]byte(nil), bytes[from:max(from, to)]...)
}
