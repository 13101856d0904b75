package acl

import (
	"fmt"
	"strconv"
)

var operationNames = map[Operation]string{
	AnyOperation: "ANY", AllOperations: "ALL", Read: "READ", Write: "WRITE", Create: "CREATE", Delete: "DELETE", Alter: "ALTER", Describe: "DESCRIBE",
	ClusterAction: "CLUSTER_ACTION", DescribeConfigs: "DESCRIBE_CONFIGS", AlterConfigs: "ALTER_CONFIGS", IdempotentWrite: "IDEMPOTENT_WRITE",
	CreateTokens: "CREATE_TOKENS", DescribeTokens: "DESCRIBE_TOKENS", TwoPhaseCommit: "TWO_PHASE_COMMIT",
}

var resourceNames = map[ResourceType]string{
	AnyResource: "ANY", Topic: "TOPIC", Group: "GROUP", Cluster: "CLUSTER", TransactionalID: "TRANSACTIONAL_ID", DelegationToken: "DELEGATION_TOKEN", User: "USER",
}

// String is Kafka's name.
func (o Operation) String() string { return name(operationNames, o) }

// String is Kafka's name.
func (t ResourceType) String() string { return name(resourceNames, t) }

func name[N ~int8](names map[N]string, n N) string {
	if s, ok := names[n]; ok {
		return s
	}
	return strconv.Itoa(int(n))
}

var (
	patternNames    = map[Pattern]string{AnyPattern: "ANY", Match: "MATCH", Literal: "LITERAL", Prefixed: "PREFIXED"}
	permissionNames = map[Permission]string{AnyPermission: "ANY", Deny: "DENY", Allow: "ALLOW"}
)

// String is Kafka's name.
func (p Pattern) String() string { return name(patternNames, p) }

// String is Kafka's name.
func (p Permission) String() string { return name(permissionNames, p) }

// The names stand in JSON too.

// MarshalText implements encoding.TextMarshaler.
func (o Operation) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// MarshalText implements encoding.TextMarshaler.
func (t ResourceType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalText implements encoding.TextMarshaler.
func (p Pattern) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// MarshalText implements encoding.TextMarshaler.
func (p Permission) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (o *Operation) UnmarshalText(text []byte) (err error) {
	*o, err = number(operationNames, "operation", text)
	return err
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *ResourceType) UnmarshalText(text []byte) (err error) {
	*t, err = number(resourceNames, "resource type", text)
	return err
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Pattern) UnmarshalText(text []byte) (err error) {
	*p, err = number(patternNames, "pattern", text)
	return err
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Permission) UnmarshalText(text []byte) (err error) {
	*p, err = number(permissionNames, "permission", text)
	return err
}

func number[N ~int8](names map[N]string, what string, text []byte) (N, error) {
	for n, s := range names {
		if s == string(text) {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%q is not the name of an ACL %s", text, what)
}
