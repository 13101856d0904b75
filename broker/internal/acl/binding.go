package acl

import (
	"cmp"
	"errors"
	"strings"
)

// Operation is what is done. The numbers are Kafka's (org.apache.kafka.common.acl.AclOperation).
type Operation int8

// The operations.
const (
	AnyOperation    Operation = 1 // in filters only
	AllOperations   Operation = 2
	Read            Operation = 3
	Write           Operation = 4
	Create          Operation = 5
	Delete          Operation = 6
	Alter           Operation = 7
	Describe        Operation = 8
	ClusterAction   Operation = 9
	DescribeConfigs Operation = 10
	AlterConfigs    Operation = 11
	IdempotentWrite Operation = 12
	CreateTokens    Operation = 13
	DescribeTokens  Operation = 14
	TwoPhaseCommit  Operation = 15
)

// ResourceType is what it is done to (org.apache.kafka.common.resource.ResourceType).
type ResourceType int8

// The resource types.
const (
	AnyResource     ResourceType = 1 // in filters only
	Topic           ResourceType = 2
	Group           ResourceType = 3
	Cluster         ResourceType = 4
	TransactionalID ResourceType = 5
	DelegationToken ResourceType = 6
	User            ResourceType = 7
)

// ClusterName is the name of the only resource of type Cluster.
const ClusterName = "kafka-cluster"

// Wildcard stands for all names in a literal pattern, for all hosts, and in [AnyUser] for all users.
const Wildcard = "*"

// AnyUser is the principal of bindings that hold for everybody.
const AnyUser = "User:*"

// Pattern says how a binding's name is meant (org.apache.kafka.common.resource.PatternType, KIP-290).
type Pattern int8

// The patterns.
const (
	AnyPattern Pattern = 1 // in filters only
	Match      Pattern = 2 // in filters only: whatever covers a resource of this name
	Literal    Pattern = 3
	Prefixed   Pattern = 4
)

// Permission is what a binding gives (org.apache.kafka.common.acl.AclPermissionType).
type Permission int8

// The permissions.
const (
	AnyPermission Permission = 1 // in filters only
	Deny          Permission = 2
	Allow         Permission = 3
)

// Binding is one access rule.
type Binding struct {
	Type       ResourceType `json:"type"`
	Name       string       `json:"name"`
	Pattern    Pattern      `json:"pattern"`
	Principal  string       `json:"principal"` // as User:alice
	Host       string       `json:"host"`      // an address, or Wildcard
	Operation  Operation    `json:"operation"`
	Permission Permission   `json:"permission"`
}

// ErrInvalid is what [Binding.Check] and [Filter.Check] wrap. The text of the error is for clients, in Kafka's words.
var ErrInvalid = errors.New("invalid ACL")

type invalid string

func (e invalid) Error() string { return string(e) }
func (invalid) Unwrap() error   { return ErrInvalid }

// ForFilters tells whether a binding has a value that only filters may have, which Kafka takes for a fault of its own.
func (b Binding) ForFilters() bool {
	return b.Type == AnyResource || b.Pattern == AnyPattern || b.Pattern == Match || b.Operation == AnyOperation || b.Permission == AnyPermission
}

// Check tells what is wrong with a binding (AclControlManager.validateNewAcl).
func (b Binding) Check() error {
	switch {
	case b.Type < Topic || b.Type > User:
		return invalid("Invalid resourceType UNKNOWN")
	case b.Pattern != Literal && b.Pattern != Prefixed:
		return invalid("Invalid patternType UNKNOWN")
	case b.Operation < AllOperations || b.Operation > TwoPhaseCommit:
		return invalid("Invalid operation UNKNOWN")
	case b.Permission != Deny && b.Permission != Allow:
		return invalid("Invalid permissionType UNKNOWN")
	case b.Name == "":
		return invalid("Invalid empty resource name")
	case b.Type == Cluster && b.Name != ClusterName:
		return invalid("The only valid name for the CLUSTER resource is " + ClusterName)
	case !strings.Contains(b.Principal, ":"):
		return invalid("Could not parse principal from `" + b.Principal + "` (no colon is present separating the principal type from the principal name)")
	}
	return nil
}

// covers tells whether the binding is about a resource.
func (b Binding) covers(name string) bool {
	if b.Pattern == Prefixed {
		return strings.HasPrefix(name, b.Name)
	}
	return b.Name == name || b.Name == Wildcard
}

// Compare orders bindings: of one resource together.
func (b Binding) Compare(o Binding) int {
	return cmp.Or(
		cmp.Compare(b.Type, o.Type), cmp.Compare(b.Pattern, o.Pattern), cmp.Compare(b.Name, o.Name), cmp.Compare(b.Principal, o.Principal),
		cmp.Compare(b.Host, o.Host), cmp.Compare(b.Operation, o.Operation), cmp.Compare(b.Permission, o.Permission),
	)
}

// Filter chooses bindings; nil and the Any values choose all.
type Filter struct {
	Type            ResourceType
	Name            *string
	Pattern         Pattern
	Principal, Host *string
	Operation       Operation
	Permission      Permission
}

// Check refuses values that there are not.
func (f Filter) Check() error {
	switch {
	case f.Type < AnyResource || f.Type > User || f.Pattern < AnyPattern || f.Pattern > Prefixed:
		return invalid("Unknown patternFilter.")
	case f.Operation < AnyOperation || f.Operation > TwoPhaseCommit || f.Permission < AnyPermission || f.Permission > Allow:
		return invalid("Unknown entryFilter.")
	}
	return nil
}

// Matches tells whether the filter chooses a binding.
func (f Filter) Matches(b Binding) bool {
	return (f.Type == AnyResource || f.Type == b.Type) && f.matchesName(b) &&
		(f.Principal == nil || *f.Principal == b.Principal) && (f.Host == nil || *f.Host == b.Host) &&
		(f.Operation == AnyOperation || f.Operation == b.Operation) && (f.Permission == AnyPermission || f.Permission == b.Permission)
}

func (f Filter) matchesName(b Binding) bool {
	switch f.Pattern {
	case AnyPattern:
		return f.Name == nil || *f.Name == b.Name
	case Match:
		return f.Name == nil || b.covers(*f.Name)
	default:
		return f.Pattern == b.Pattern && (f.Name == nil || *f.Name == b.Name)
	}
}
