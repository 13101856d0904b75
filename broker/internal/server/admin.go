package server

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/cluster"
)

// refusals is how refused changes of the metadata are told to clients.
var refusals = []struct {
	err  error
	code *kerr.Error
}{
	{cluster.ErrTopicExists, kerr.TopicAlreadyExists},
	{cluster.ErrUnknownTopic, kerr.UnknownTopicOrPartition},
	{cluster.ErrUnknownTopicID, kerr.UnknownTopicID},
	{cluster.ErrInvalidTopic, kerr.InvalidTopicException},
	{cluster.ErrInvalidPartitions, kerr.InvalidPartitions},
	{cluster.ErrInvalidReplicationFactor, kerr.InvalidReplicationFactor},
	{cluster.ErrInvalidReplicaAssignment, kerr.InvalidReplicaAssignment},
	{cluster.ErrInvalidConfig, kerr.InvalidConfig},
	{cluster.ErrInvalidRequest, kerr.InvalidRequest},
	{cluster.ErrPolicyViolation, kerr.PolicyViolation},
	{cluster.ErrTopicDeletionDisabled, kerr.TopicDeletionDisabled},
	{cluster.ErrInvalidUpdateVersion, kerr.InvalidUpdateVersion},
	{cluster.ErrThrottled, kerr.ThrottlingQuotaExceeded},
	{cluster.ErrUnacceptableCredential, kerr.UnacceptableCredential},
	{cluster.ErrUnsupportedMechanism, kerr.UnsupportedSaslMechanism},
	{cluster.ErrResourceNotFound, kerr.ResourceNotFound},
	{cluster.ErrDuplicateResource, kerr.DuplicateResource},
	{cluster.ErrUnavailable, kerr.KafkaStorageError},
}

// refusal returns the Kafka error code and the message for the client; 0 and nil for
// nil.
func (s *Server) refusal(err error, doing, topic string) (int16, *string) {
	if err == nil {
		return 0, nil
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			if r.code == kerr.KafkaStorageError { // ours, not the client's
				s.log.Error("request failed", "doing", doing, "topic", topic, "error", err)
				return r.code.Code, &r.code.Description
			}
			message := err.Error()
			return r.code.Code, &message
		}
	}
	code := s.codeOf(err, doing, topic, -1)
	return code, &kerr.TypedErrorForCode(code).Description
}

// duplicates returns the keys that stand in a list more than once.
func duplicates[T any, K comparable](list []T, key func(*T) K) map[K]bool {
	seen, twice := make(map[K]bool, len(list)), map[K]bool{}
	for i := range list {
		k := key(&list[i])
		if seen[k] {
			twice[k] = true
		}
		seen[k] = true
	}
	return twice
}

// text is for the messages of a protocol that wants them nullable.
func text(s string) *string { return &s }

// timedOut tells of a request to Kafka's controller whose time is over before it begins: nothing is done.
func timedOut(timeoutMillis int32) bool { return timeoutMillis <= 0 }
