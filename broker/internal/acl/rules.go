package acl

import (
	"slices"
	"strings"
)

// Client is who asks.
type Client struct {
	Principal string // as User:alice
	Host      string // an address, as 127.0.0.1
}

// Rules are bindings in a form that answers quickly: a question costs a look-up by the name and one for each length
// of prefix that some binding of the type has. They never change. The nil Rules have no binding.
type Rules struct {
	sorted []Binding
	types  map[ResourceType]*typeRules
}

type typeRules struct {
	literal, prefixed map[string][]Binding
	lengths           []int // of the prefixes, each once
}

// NewRules indexes bindings.
func NewRules(bindings []Binding) *Rules {
	r := &Rules{sorted: slices.SortedFunc(slices.Values(bindings), Binding.Compare), types: map[ResourceType]*typeRules{}}
	for _, b := range r.sorted {
		t := r.types[b.Type]
		if t == nil {
			t = &typeRules{literal: map[string][]Binding{}, prefixed: map[string][]Binding{}}
			r.types[b.Type] = t
		}
		if b.Pattern == Literal {
			t.literal[b.Name] = append(t.literal[b.Name], b)
			continue
		}
		t.prefixed[b.Name] = append(t.prefixed[b.Name], b)
		if n := len(b.Name); !slices.Contains(t.lengths, n) {
			t.lengths = append(t.lengths, n)
		}
	}
	return r
}

// Bindings lists all, always in the same order. Do not change the slice.
func (r *Rules) Bindings() []Binding {
	if r == nil {
		return nil
	}
	return r.sorted
}

// verdict is what the bindings that were looked at say.
type verdict struct{ any, allowed, denied bool }

func (v *verdict) hear(list []Binding, c Client, op Operation) {
	for i := range list {
		b := &list[i]
		v.any = true
		if !b.speaksOf(c) || !b.means(op) {
			continue
		}
		if b.Permission == Deny {
			v.denied = true
			return
		}
		v.allowed = true
	}
}

func (b Binding) speaksOf(c Client) bool {
	return (b.Principal == c.Principal || b.Principal == AnyUser) && (b.Host == Wildcard || b.Host == c.Host)
}

// means tells whether the binding is about an operation, or about one that implies it.
func (b Binding) means(op Operation) bool {
	if b.Operation == op || b.Operation == AllOperations {
		return true
	}
	if b.Permission != Allow {
		return false
	}
	switch op {
	case Describe:
		return b.Operation == Read || b.Operation == Write || b.Operation == Delete || b.Operation == Alter
	case DescribeConfigs:
		return b.Operation == AlterConfigs
	}
	return false
}

// decide asks the bindings of one resource.
func (r *Rules) decide(c Client, op Operation, kind ResourceType, name string) (v verdict) {
	if r == nil {
		return v
	}
	t := r.types[kind]
	if t == nil {
		return v
	}
	v.hear(t.literal[Wildcard], c, op)
	if !v.denied && name != Wildcard {
		v.hear(t.literal[name], c, op)
	}
	for _, n := range t.lengths {
		if v.denied {
			break
		}
		if n <= len(name) {
			v.hear(t.prefixed[name[:n]], c, op)
		}
	}
	return v
}

// Authorizer decides for a cluster: its super users, and what holds without bindings. It is safe for concurrent use.
type Authorizer struct {
	supers   map[string]bool
	everyone bool // allow.everyone.if.no.acl.found
}

// NewAuthorizer takes super.users, as User:alice, and allow.everyone.if.no.acl.found.
func NewAuthorizer(supers []string, everyone bool) *Authorizer {
	a := &Authorizer{supers: make(map[string]bool, len(supers)), everyone: everyone}
	for _, s := range supers {
		a.supers[s] = true
	}
	return a
}

// Allows tells whether a client may do an operation on a resource.
func (a *Authorizer) Allows(r *Rules, c Client, op Operation, kind ResourceType, name string) bool {
	if a.supers[c.Principal] {
		return true
	}
	v := r.decide(c, op, kind, name)
	return !v.denied && (v.allowed || !v.any && a.everyone)
}

// AllowsAny tells whether there can be a resource of the type on which a client may do an operation
// (Authorizer.authorizeByResourceType, KIP-679). An ALLOW counts if no DENY covers all that it gives. Implied operations
// do not count.
func (a *Authorizer) AllowsAny(r *Rules, c Client, op Operation, kind ResourceType) bool {
	// As Kafka: a name that nobody uses stands for what is allowed everywhere.
	if a.Allows(r, c, op, kind, "hardcode") {
		return true
	}
	if r == nil || r.types[kind] == nil {
		return false
	}
	var allowed, denied []Binding
	for i := range r.sorted {
		b := r.sorted[i]
		if b.Type != kind || !b.speaksOf(c) || b.Operation != op && b.Operation != AllOperations {
			continue
		}
		if b.Permission == Allow {
			allowed = append(allowed, b)
			continue
		}
		if b.Pattern == Literal && b.Name == Wildcard {
			return false
		}
		denied = append(denied, b)
	}
	return slices.ContainsFunc(allowed, func(b Binding) bool {
		return b.Pattern == Literal && b.Name == Wildcard ||
			!slices.ContainsFunc(denied, func(d Binding) bool { return d.dominates(b) })
	})
}

// dominates tells whether a DENY leaves nothing of an ALLOW.
func (b Binding) dominates(allow Binding) bool {
	if b.Pattern == Prefixed {
		return strings.HasPrefix(allow.Name, b.Name)
	}
	return allow.Pattern == Literal && allow.Name == b.Name
}
