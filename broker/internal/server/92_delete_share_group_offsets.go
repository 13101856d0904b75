package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/group"
	"millrace/broker/internal/sharestate"
)

// DeleteShareGroupOffsets (API key 92), version 0 (KIP-932).
//
// A share group without members forgets topics: it begins there as if it had never read them.
func init() { register(92, 0, 0, (*Server).deleteShareGroupOffsets) }

func (s *Server) deleteShareGroupOffsets(r *Request, req *kmsg.DeleteShareGroupOffsetsRequest) kmsg.Response {
	resp := kmsg.NewPtrDeleteShareGroupOffsetsResponse()
	if denied := s.onGroup(r, acl.Delete, req.GroupID); denied != nil {
		resp.ErrorCode, resp.ErrorMessage = denied.Code, deniedText(denied)
		return resp
	}
	if req.GroupID == "" {
		resp.ErrorCode, resp.ErrorMessage = codeAndText(kerr.InvalidGroupID)
		return resp
	}
	if err := s.groups.ShareAdmin(r.Context(), req.GroupID, group.ShareAdmin{}); err != nil {
		resp.ErrorCode, resp.ErrorMessage = refused(err)
		return resp
	}
	d, code, message := s.describeModern(req.GroupID, group.Share)
	if code != 0 {
		resp.ErrorCode, resp.ErrorMessage = code, message
		return resp
	}
	image := s.cluster.Image()
	var gone []group.Partition
	for _, t := range req.Topics {
		out := kmsg.NewDeleteShareGroupOffsetsResponseTopic()
		out.Topic = t.Topic
		topic, err := s.topicRef(r, image, acl.Read, false, t.Topic, [16]byte{})
		if err != nil {
			out.ErrorCode, out.ErrorMessage = codeAndText(err)
			resp.Topics = append(resp.Topics, out)
			continue
		}
		out.TopicID = topic.ID
		for _, state := range d.Modern.States {
			if cluster.TopicID(state.Topic) != topic.ID {
				continue
			}
			for _, p := range state.Partitions {
				k := sharestate.Key{Group: req.GroupID, Topic: topic.ID, Partition: p}
				s.shares.Forget(k)
				if err := s.shareStates.Delete(r.Context(), k); err != nil {
					out.ErrorCode, out.ErrorMessage = codeAndText(err)
					continue
				}
				gone = append(gone, group.Partition{Topic: state.Topic, Index: p})
			}
		}
		resp.Topics = append(resp.Topics, out)
	}
	if len(gone) > 0 {
		if err := s.groups.ShareAdmin(r.Context(), req.GroupID, group.ShareAdmin{Remove: gone}); err != nil {
			resp.ErrorCode, resp.ErrorMessage = refused(err)
			resp.Topics = nil
		}
	}
	return resp
}
