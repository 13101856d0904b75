package server

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/group"
	"millrace/broker/internal/sharestate"
)

// AlterShareGroupOffsets (API key 91), version 0 (KIP-932).
//
// Moves the start of a share group that has no members: what was known of records is forgotten.
// A group that does not exist is made.
func init() { register(91, 0, 0, (*Server).alterShareGroupOffsets) }

func (s *Server) alterShareGroupOffsets(r *Request, req *kmsg.AlterShareGroupOffsetsRequest) kmsg.Response {
	resp := kmsg.NewPtrAlterShareGroupOffsetsResponse()
	id := strings.Clone(req.GroupID)
	if denied := s.onGroup(r, acl.Read, id); denied != nil {
		resp.ErrorCode, resp.ErrorMessage = denied.Code, deniedText(denied)
		return resp
	}
	if id == "" {
		resp.ErrorCode, resp.ErrorMessage = codeAndText(kerr.InvalidGroupID)
		return resp
	}
	if err := s.groups.ShareAdmin(r.Context(), id, group.ShareAdmin{Create: true}); err != nil {
		resp.ErrorCode, resp.ErrorMessage = refused(err)
		return resp
	}
	image := s.cluster.Image()
	var changed []group.Partition
	for i := range req.Topics {
		t := &req.Topics[i]
		out := kmsg.NewAlterShareGroupOffsetsResponseTopic()
		out.Topic = t.Topic
		topic := image.Topic(t.Topic)
		denied := s.onTopic(r, acl.Read, t.Topic)
		if topic != nil && denied == nil {
			out.TopicID = topic.ID
		}
		for _, p := range t.Partitions {
			rp := kmsg.NewAlterShareGroupOffsetsResponseTopicPartition()
			rp.Partition = p.Partition
			var err *kerr.Error
			switch {
			case denied != nil:
				err = denied
			case topic == nil || topic.Partition(p.Partition) == nil:
				err = kerr.UnknownTopicOrPartition
			case p.StartOffset < 0:
				err = kerr.InvalidRequest
			default:
				k := sharestate.Key{Group: id, Topic: topic.ID, Partition: p.Partition}
				if err = s.moveShare(r, k, p.StartOffset); err == nil {
					changed = append(changed, group.Partition{Topic: group.TopicID(topic.ID), Index: p.Partition})
				}
			}
			rp.ErrorCode, rp.ErrorMessage = codeAndText(err)
			out.Partitions = append(out.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, out)
	}
	if len(changed) > 0 {
		if err := s.groups.ShareAdmin(r.Context(), id, group.ShareAdmin{Create: true, Add: changed}); err != nil {
			resp.ErrorCode, resp.ErrorMessage = refused(err)
			resp.Topics = nil
		}
	}
	return resp
}

// moveShare gives a partition a new start, in a new epoch of its state: who still has the
// old one is fenced.
func (s *Server) moveShare(r *Request, k sharestate.Key, start int64) *kerr.Error {
	if err := s.shareStates.Ensure(r.Context()); err != nil {
		return err
	}
	epoch := int32(0)
	a := s.shareStates.Summary(r.Context(), k)
	if a.Err != nil {
		return a.Err
	}
	if a.State != nil {
		epoch = a.State.Epoch + 1
	}
	err := s.shareStates.Initialize(r.Context(), k, epoch, start)
	s.shares.Forget(k)
	return err
}
