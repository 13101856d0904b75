package cluster

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"millrace/broker/internal/acl"
)

func TestACLs_SurviveRestartAndSnapshot(t *testing.T) {
	t.Parallel()
	ctx, log := context.Background(), &memoryLog{}
	c, err := open(ctx, log, Options{Config: testConfig()})
	if err != nil {
		t.Fatal(err)
	}
	binding := func(n int) acl.Binding {
		return acl.Binding{Type: acl.Topic, Name: fmt.Sprintf("topic-%04d", n), Pattern: acl.Literal, Principal: "User:alice", Host: acl.Wildcard, Operation: acl.Read, Permission: acl.Allow}
	}
	var many []acl.Binding // more than one command holds, each of them twice
	for n := range aclsPerCommand + 10 {
		many = append(many, binding(n), binding(n))
	}
	bad := binding(0)
	bad.Name = ""
	errs := c.CreateACLs(ctx, append(many, bad))
	for n, err := range errs[:len(many)] {
		if err != nil {
			t.Fatalf("binding %d: %v", n, err)
		}
	}
	if !errors.Is(errs[len(many)], ErrInvalidRequest) {
		t.Errorf("without a name: %v", errs[len(many)])
	}
	name := binding(7).Name
	filter := acl.Filter{Type: acl.Topic, Name: &name, Pattern: acl.Literal, Operation: acl.AnyOperation, Permission: acl.AnyPermission}
	deleted, err := c.DeleteACLs(ctx, []acl.Filter{filter, filter})
	if err != nil || len(deleted) != 2 || len(deleted[0]) != 1 || len(deleted[1]) != 1 {
		t.Fatalf("deleted %v, %v", deleted, err)
	}
	again, err := open(ctx, log, Options{Config: testConfig()})
	if err != nil {
		t.Fatal(err)
	}
	rebuilt, err := Apply(NewImage(testConfig()), 0, again.Image().snapshot()...)
	if err != nil {
		t.Fatal(err)
	}
	authorizer, alice := acl.NewAuthorizer(nil, false), acl.Client{Principal: "User:alice", Host: "10.0.0.1"}
	for what, i := range map[string]*Image{"now": c.Image(), "after a restart": again.Image(), "after a snapshot": rebuilt} {
		if n := len(i.Rules().Bindings()); n != aclsPerCommand+9 {
			t.Errorf("%s: %d bindings", what, n)
		}
		if !authorizer.Allows(i.Rules(), alice, acl.Describe, acl.Topic, "topic-0008") || authorizer.Allows(i.Rules(), alice, acl.Describe, acl.Topic, name) {
			t.Errorf("%s: what was deleted is allowed, or what was not is denied", what)
		}
	}
	empty, err := Apply(rebuilt, again.Image().Offset+1, Command{Snapshot: &Snapshot{}})
	if err != nil || empty.Rules() != nil {
		t.Errorf("rules without any binding: %v, %v", empty.Rules(), err)
	}
}
