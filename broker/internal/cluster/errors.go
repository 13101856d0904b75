package cluster

import "errors"

// The kinds of refusal. An [Error] wraps one of them and says more.
var (
	ErrTopicExists              = errors.New("topic already exists")
	ErrUnknownTopic             = errors.New("unknown topic")
	ErrUnknownTopicID           = errors.New("unknown topic id")
	ErrInvalidTopic             = errors.New("invalid topic name")
	ErrInvalidPartitions        = errors.New("invalid number of partitions")
	ErrInvalidReplicationFactor = errors.New("invalid replication factor")
	ErrInvalidReplicaAssignment = errors.New("invalid replica assignment")
	ErrInvalidConfig            = errors.New("invalid configuration")
	ErrInvalidRequest           = errors.New("invalid request")
	ErrPolicyViolation          = errors.New("policy violation")
	ErrTopicDeletionDisabled    = errors.New("topic deletion is disabled")
	ErrInvalidUpdateVersion     = errors.New("invalid level of a feature")
	ErrThrottled                = errors.New("throttling quota exceeded")
	// ErrUnavailable is returned once a commit failed: what is on disk is not known
	// any more, so that nothing may be added. Only a restart helps.
	ErrUnavailable = errors.New("cluster metadata cannot be written")
)

// Error is a refused change.
type Error struct {
	Kind    error  // one of the above
	Message string // for the client, in Kafka's words where Kafka has some
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.Kind }
