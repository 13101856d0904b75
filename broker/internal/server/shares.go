package server

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/config"
	"millrace/broker/internal/replica"
	"millrace/broker/internal/share"
	"millrace/broker/internal/shares"
	"millrace/broker/internal/sharestate"
)

// What the handlers of share groups (76 to 79, 83 to 87, 90 to 92) have in common.

func shareSettings(g *config.Group) share.Settings {
	return share.Settings{
		Lock: time.Duration(g.ShareRecordLockDurationMs) * time.Millisecond, DeliveryLimit: int16(min(g.ShareDeliveryCountLimit, 1<<15-1)),
		MaxInFlight: int64(g.SharePartitionMaxRecordLocks), Renew: g.ShareRenewAcknowledge,
	}
}

// sharePartition is a partition as a share group reads it, and its log.
type sharePartition struct {
	*shares.Partition
	log *replica.Partition
}

// shareSource is where a share group's partition is read from, and what is needed to load it.
type shareSource struct {
	log      *replica.Partition
	key      sharestate.Key
	settings *config.Group
}

// findShare finds a partition that a share group reads, if the client may. The error is a Kafka code.
func (s *Server) findShare(r *Request, group string, tp shares.TopicPartition) (shareSource, int16) {
	image := s.cluster.Image()
	topic := image.TopicByID(cluster.TopicID(tp.Topic))
	if topic == nil {
		return shareSource{}, kerr.UnknownTopicID.Code
	}
	if denied := s.onTopic(r, acl.Read, topic.Name); denied != nil { // on each request: what was allowed may be so no longer
		return shareSource{}, denied.Code
	}
	log, err := s.replicas.Get(topic.Name, tp.Partition)
	if err != nil {
		return shareSource{}, s.codeOf(err, "share fetch", topic.Name, tp.Partition)
	}
	return shareSource{log, sharestate.Key{Group: group, Topic: tp.Topic, Partition: tp.Partition}, image.Group(group)}, 0
}

// shareLeader is who leads a partition, in which epoch and where; ok is false where nobody does.
func (s *Server) shareLeader(r *Request, tp shares.TopicPartition) (leader, epoch int32, at cluster.Endpoint, ok bool) {
	image := s.cluster.Image()
	topic := image.TopicByID(cluster.TopicID(tp.Topic))
	if topic == nil {
		return 0, 0, at, false
	}
	p := topic.Partition(tp.Partition)
	if p == nil {
		return 0, 0, at, false
	}
	b := image.Broker(p.Leader)
	if b == nil {
		return 0, 0, at, false
	}
	at, ok = endpoint(r, b, s.nodeID)
	return p.Leader, p.LeaderEpoch, at, ok
}

// loadShare returns a partition that findShare has found, loaded.
func (s *Server) loadShare(ctx context.Context, from shareSource) (sharePartition, int16) {
	epoch := int32(from.log.LeaderEpoch())
	p, refusal := s.shares.Open(ctx, from.key, epoch, shareSettings(from.settings), func() (int64, *kerr.Error) {
		return s.shareBegin(from.settings, from.log)
	})
	if refusal != nil {
		return sharePartition{}, refusal.Code
	}
	if p.LeaderEpoch() != epoch {
		s.shares.Forget(from.key)
		return sharePartition{}, kerr.NotLeaderForPartition.Code
	}
	return sharePartition{p, from.log}, 0
}

// prepareShare has a partition loaded, for the requests to come, and does not wait for it.
func (s *Server) prepareShare(from shareSource) {
	s.shares.Spawn(func(ctx context.Context) { _, _ = s.loadShare(ctx, from) })
}

// openShare finds a partition that a share group reads, and loads it if need be.
func (s *Server) openShare(r *Request, group string, tp shares.TopicPartition) (sharePartition, int16) {
	from, code := s.findShare(r, group, tp)
	if code != 0 {
		return sharePartition{}, code
	}
	return s.loadShare(r.Context(), from)
}

// shareBegin is where a share group begins in a partition that it has not read
// (share.auto.offset.reset).
func (s *Server) shareBegin(g *config.Group, log *replica.Partition) (int64, *kerr.Error) {
	switch g.ShareAutoOffsetReset {
	case "earliest":
		return int64(log.StartOffset()), nil
	case "latest":
		return int64(log.HighWatermark()), nil
	}
	ago, err := config.ResetDuration(g.ShareAutoOffsetReset)
	if err != nil {
		return 0, kerr.InvalidConfig
	}
	found, err := log.Log().OffsetForTime(time.Now().Add(-ago).UnixMilli())
	switch {
	case err != nil:
		return 0, kerr.KafkaStorageError
	case found.Offset < 0: // nothing as young as that
		return int64(log.HighWatermark()), nil
	}
	return int64(found.Offset), nil
}

// maxMemberID is the length of a UUID, by which members of share groups name themselves.
const maxMemberID = 36

// shareSession finds the session of a request of a share group's member, or why there is none.
// A session ends with its connection.
func (s *Server) shareSession(r *Request, group, member string, epoch int32) (session *shares.Session, closing bool, err *kerr.Error) {
	if member == "" || len(member) > maxMemberID {
		return nil, false, kerr.InvalidRequest
	}
	session, closing, err = s.shares.Session(group, member, epoch, int(s.cluster.Image().Config.GroupShareMaxSessions))
	if err == nil && epoch == shares.OpenEpoch {
		s.shares.Bind(session, context.AfterFunc(r.Context(), func() { s.endShareSession(group, member, session) }))
	}
	return session, closing, err
}

// endShareSession gives back what the member of a session has.
func (s *Server) endShareSession(group, member string, session *shares.Session) {
	if !s.shares.End(session) {
		return
	}
	for _, tp := range session.Partitions() {
		if p := s.shares.Loaded(sharestate.Key{Group: group, Topic: tp.Topic, Partition: tp.Partition}); p != nil {
			p.ReleaseMember(member)
		}
	}
}

// acknowledging is what a request says of the records of one partition.
type acknowledging struct {
	tp   shares.TopicPartition
	acks []share.Ack
	code int16 // the answer
}

// acknowledge has all of a request's acknowledgements written, together, and fills in the codes.
func (s *Server) acknowledge(r *Request, group, member string, all []acknowledging, renew bool) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i := range all {
		a := &all[i]
		settings := shareSettings(s.cluster.Image().Group(group))
		if err := share.CheckAcks(a.acks, renew && settings.Renew); err != nil {
			a.code = err.Code
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			p, code := s.openShare(r, group, a.tp)
			if code == 0 {
				code = groupCode(p.Acknowledge(r.Context(), member, a.acks))
			}
			a.code = code
		})
	}
	wg.Wait()
}
