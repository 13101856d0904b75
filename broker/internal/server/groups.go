package server

import (
	"bytes"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/acl"
	"millrace/broker/internal/cluster"
	"millrace/broker/internal/group"
)

// What the handlers of the group requests (08 to 16, 42, 47) have in common.

// groupCode returns the code of an error of a group, 0 for none.
func groupCode(err *kerr.Error) int16 {
	if err == nil {
		return 0
	}
	return err.Code
}

// orEmpty returns a nullable string, empty for null.
func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// orNull returns null for the empty string.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func inMillis(ms int32) time.Duration { return time.Duration(ms) * time.Millisecond }

// kept copies what a group keeps of a request, so that it does not keep the whole frame.
func kept(b []byte) []byte { return bytes.Clone(b) }

// topicRef finds a topic that a request names, by id from some version on, for an operation on it. The error
// is what each of its partitions gets.
func (s *Server) topicRef(r *Request, image *cluster.Image, op acl.Operation, byID bool, name string, id [16]byte) (*cluster.Topic, *kerr.Error) {
	t := image.Topic(name)
	if byID {
		if t = image.TopicByID(cluster.TopicID(id)); t == nil {
			return nil, kerr.UnknownTopicID
		}
		name = t.Name
	}
	if denied := s.onTopic(r, op, name); denied != nil {
		return nil, denied
	}
	if t == nil {
		return nil, kerr.UnknownTopicOrPartition
	}
	return t, nil
}

// leaving is one member of a LeaveGroup request.
func leaving(memberID string, instanceID, reason *string) group.Leaving {
	return group.Leaving{MemberID: memberID, InstanceID: orEmpty(instanceID), Reason: strings.Clone(orEmpty(reason))}
}
