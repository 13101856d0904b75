package server

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
)

// DeleteTopics (API key 20), versions 1–6.
//
//	v3 TOPIC_DELETION_DISABLED   v4 flexible   v5 messages   v6 topic ids (KIP-516)
//
// The timeout is not used: when the answer is sent, the topic is gone. Its files are
// removed in the background.
func init() { register(20, 1, 6, (*Server).deleteTopics) }

func (s *Server) deleteTopics(r *Request, req *kmsg.DeleteTopicsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	image := s.cluster.Image()
	refs, answers := s.deletions(r, req, image)
	if timedOut(req.TimeoutMillis) {
		for i := range answers {
			if answers[i].ErrorCode == 0 {
				answers[i].ErrorCode, answers[i].ErrorMessage = codeAndText(kerr.RequestTimedOut)
			}
		}
		resp.Topics = answers
		return resp
	}
	results := s.cluster.DeleteTopics(r.Context(), refs, s.payment(r, 5))
	n := 0
	for i := range answers {
		a := &answers[i]
		if a.ErrorCode == 0 {
			result := results[n]
			n++
			code, message := s.refusal(result.Err, "delete topic", nameOr(a.Topic))
			if code == kerr.TopicDeletionDisabled.Code && r.Version < 3 {
				code = kerr.InvalidRequest.Code
			}
			a.ErrorCode, a.ErrorMessage = code, message
			if result.Topic != nil {
				a.Topic, a.TopicID = &result.Topic.Name, result.Topic.ID
			}
		}
		resp.Topics = append(resp.Topics, *a)
	}
	return resp
}

// deletions works out which topics are meant. An answer without an error code belongs
// to the next of the topics.
func (s *Server) deletions(r *Request, req *kmsg.DeleteTopicsRequest, image *cluster.Image) ([]cluster.TopicRef, []kmsg.DeleteTopicsResponseTopic) {
	asked := req.Topics
	if r.Version < 6 {
		asked = make([]kmsg.DeleteTopicsRequestTopic, len(req.TopicNames))
		for i := range asked {
			asked[i].Topic = &req.TopicNames[i]
		}
	}
	names := duplicates(asked, func(t *kmsg.DeleteTopicsRequestTopic) string { return nameOr(t.Topic) })
	ids := duplicates(asked, func(t *kmsg.DeleteTopicsRequestTopic) [16]byte { return t.TopicID })
	byID := make(map[[16]byte]bool, len(asked))
	for i := range asked {
		if asked[i].Topic == nil {
			byID[asked[i].TopicID] = true
		}
	}

	refs := make([]cluster.TopicRef, 0, len(asked))
	answers := make([]kmsg.DeleteTopicsResponseTopic, 0, len(asked))
	answered := map[string]bool{} // duplicates are answered once
	refuse := func(t *kmsg.DeleteTopicsRequestTopic, message string) {
		if key := nameOr(t.Topic) + string(t.TopicID[:]); !answered[key] {
			answered[key] = true
			answers = append(answers, kmsg.DeleteTopicsResponseTopic{
				Topic: t.Topic, TopicID: t.TopicID, ErrorCode: kerr.InvalidRequest.Code, ErrorMessage: &message,
			})
		}
	}
	anyTopic := s.may(r, acl.Delete, acl.Cluster, acl.ClusterName)
	denied := func(op acl.Operation, name string) bool { return !anyTopic && !s.may(r, op, acl.Topic, name) }
	deny := func(name *string, id [16]byte) {
		err := kerr.TopicAuthorizationFailed
		answers = append(answers, kmsg.DeleteTopicsResponseTopic{Topic: name, TopicID: id, ErrorCode: err.Code, ErrorMessage: deniedText(err)})
	}
	for i := range asked {
		t := &asked[i]
		zero := t.TopicID == [16]byte{}
		switch {
		case t.Topic != nil && !zero:
			refuse(t, "You may not specify both topic name and topic id.")
		case t.Topic == nil && zero:
			refuse(t, "Neither topic name nor id were specified.")
		case t.Topic != nil && names[*t.Topic]:
			refuse(t, "Duplicate topic name.")
		case t.Topic == nil && ids[t.TopicID]:
			refuse(t, "Duplicate topic id.")
		case t.Topic != nil:
			found := image.Topic(*t.Topic)
			if denied(acl.Describe, *t.Topic) || found != nil && denied(acl.Delete, *t.Topic) {
				deny(t.Topic, [16]byte{})
				continue
			}
			if found != nil && byID[found.ID] {
				both := kmsg.DeleteTopicsRequestTopic{Topic: t.Topic, TopicID: found.ID}
				refuse(&both, "The provided topic name maps to an ID that was already supplied.")
				continue
			}
			refs = append(refs, cluster.TopicRef{Name: *t.Topic})
			answers = append(answers, kmsg.DeleteTopicsResponseTopic{Topic: t.Topic})
		default:
			found := image.TopicByID(t.TopicID)
			if found != nil && denied(acl.Delete, found.Name) {
				name := &found.Name
				if denied(acl.Describe, found.Name) {
					name = nil
				}
				deny(name, t.TopicID)
				continue
			}
			if found != nil && namedToo(asked, found.Name) {
				continue // answered with the name
			}
			refs = append(refs, cluster.TopicRef{ID: t.TopicID})
			answers = append(answers, kmsg.DeleteTopicsResponseTopic{TopicID: t.TopicID})
		}
	}
	return refs, answers
}

func namedToo(asked []kmsg.DeleteTopicsRequestTopic, name string) bool {
	for i := range asked {
		if asked[i].Topic != nil && *asked[i].Topic == name {
			return true
		}
	}
	return false
}
