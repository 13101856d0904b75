package server

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/acl"
)

// Every handler asks here what its client may do, in Kafka's order and with Kafka's operation for each resource (KafkaApis,
// ControllerApis). docs/security.md has the table, and TestAuthorize_EveryKey fails for a key without a case. Without an authorizer it
// is a nil check.

// may tells whether a request's client may do an operation on a resource.
func (s *Server) may(r *Request, op acl.Operation, kind acl.ResourceType, name string) bool {
	if s.authorizer == nil {
		return true
	}
	allowed := s.authorizer.Allows(s.cluster.Image().Rules(), clientOf(r), op, kind, name)
	if !allowed {
		s.log.Debug("access denied", "principal", r.Principal, "client", r.ClientHost, "operation", op, "resource_type", kind, "resource", name, "key", r.key)
	}
	return allowed
}

// mayAny tells whether there can be a resource on which it may.
func (s *Server) mayAny(r *Request, op acl.Operation, kind acl.ResourceType) bool {
	return s.authorizer == nil || s.authorizer.AllowsAny(s.cluster.Image().Rules(), clientOf(r), op, kind)
}

func clientOf(r *Request) acl.Client {
	return acl.Client{Principal: r.Principal, Host: strings.TrimPrefix(r.ClientHost, "/")}
}

// The next ones return what is answered where it may not, and nil where it may.

func (s *Server) onTopic(r *Request, op acl.Operation, name string) *kerr.Error {
	return deniedUnless(s.may(r, op, acl.Topic, name), kerr.TopicAuthorizationFailed)
}

func (s *Server) onGroup(r *Request, op acl.Operation, id string) *kerr.Error {
	return deniedUnless(s.may(r, op, acl.Group, id), kerr.GroupAuthorizationFailed)
}

func (s *Server) onTxn(r *Request, op acl.Operation, id string) *kerr.Error {
	return deniedUnless(s.may(r, op, acl.TransactionalID, id), kerr.TransactionalIDAuthorizationFailed)
}

func (s *Server) onCluster(r *Request, op acl.Operation) *kerr.Error {
	return deniedUnless(s.may(r, op, acl.Cluster, acl.ClusterName), kerr.ClusterAuthorizationFailed)
}

func deniedUnless(allowed bool, err *kerr.Error) *kerr.Error {
	if allowed {
		return nil
	}
	return err
}

// deniedText is Kafka's message with a refusal (org.apache.kafka.common.protocol.Errors).
func deniedText(err *kerr.Error) *string {
	switch err {
	case kerr.TopicAuthorizationFailed:
		return text("Topic authorization failed.")
	case kerr.GroupAuthorizationFailed:
		return text("Group authorization failed.")
	case kerr.TransactionalIDAuthorizationFailed:
		return text("Transactional Id authorization failed.")
	default:
		return text("Cluster authorization failed.")
	}
}

// Bit sets of the operations that there are of a resource type (org.apache.kafka.security.authorizer.AclEntry).
var (
	topicOperations   = []acl.Operation{acl.Read, acl.Write, acl.Create, acl.Delete, acl.Alter, acl.Describe, acl.DescribeConfigs, acl.AlterConfigs}
	groupOperations   = []acl.Operation{acl.Read, acl.Delete, acl.Describe, acl.DescribeConfigs, acl.AlterConfigs}
	clusterOperations = []acl.Operation{acl.Create, acl.Alter, acl.Describe, acl.ClusterAction, acl.DescribeConfigs, acl.AlterConfigs, acl.IdempotentWrite}
)

// notAsked is the answer to who has not asked for operations.
const notAsked int32 = -1 << 31

// operationsOn is the bit set of what the client may do with a resource, of all that there is.
func (s *Server) operationsOn(r *Request, kind acl.ResourceType, name string, all []acl.Operation) (bits int32) {
	for _, op := range all {
		if s.authorizer == nil || s.authorizer.Allows(s.cluster.Image().Rules(), clientOf(r), op, kind, name) {
			bits |= 1 << op
		}
	}
	return bits
}

// operationsOnCluster asks whether the client may see the cluster first: else it may do nothing.
func (s *Server) operationsOnCluster(r *Request) int32 {
	if s.onCluster(r, acl.Describe) != nil {
		return 0
	}
	return s.operationsOn(r, acl.Cluster, acl.ClusterName, clusterOperations)
}
