package acl

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"millrace/broker/internal/storytest"
)

// TestScenarios runs the stories in testdata; the README there has the commands.
func TestScenarios(t *testing.T) {
	storytest.Run(t, "testdata", func() func(*testing.T, *datadriven.TestData) string {
		return (&scenario{}).run
	})
}

type scenario struct {
	bindings []Binding
	supers   []string
	everyone bool
}

func (s *scenario) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var out strings.Builder
	for _, line := range storytest.Lines(d) {
		command, args, options := storytest.Words(line, nil)
		s.command(t, &out, command, args, options)
	}
	if out.Len() == 0 {
		return "ok\n"
	}
	return out.String()
}

func find[N ~int8](t *testing.T, names map[N]string, name string) N {
	t.Helper()
	n, err := number(names, "word", []byte(strings.ToUpper(name)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (s *scenario) command(t *testing.T, out *strings.Builder, command string, args []string, options map[string]string) {
	t.Helper()
	host := func(otherwise string) string {
		if h, ok := options["host"]; ok {
			return h
		}
		return otherwise
	}
	switch command {
	case "super":
		s.supers = append(s.supers, args...)
	case "everyone":
		s.everyone = true
	case "allow", "deny": // PRINCIPAL OPERATION TYPE NAME
		b := Binding{Principal: args[0], Operation: find(t, operationNames, args[1]), Type: find(t, resourceNames, args[2]), Name: args[3], Pattern: Literal, Host: host(Wildcard), Permission: Allow}
		if name, ok := strings.CutSuffix(b.Name, "…"); ok {
			b.Name, b.Pattern = name, Prefixed
		}
		if command == "deny" {
			b.Permission = Deny
		}
		if err := b.Check(); err != nil {
			t.Fatal(err)
		}
		s.bindings = append(s.bindings, b)
	case "forget":
		s.bindings = nil
	case "ask", "ask-any":
		c, a, r := Client{args[0], host("10.0.0.1")}, NewAuthorizer(s.supers, s.everyone), NewRules(s.bindings)
		op, kind := find(t, operationNames, args[1]), find(t, resourceNames, args[2])
		var allowed bool
		if command == "ask" {
			allowed = a.Allows(r, c, op, kind, args[3])
		} else {
			allowed = a.AllowsAny(r, c, op, kind)
		}
		fmt.Fprintf(out, "%s: %s\n", strings.Join(args, " "), map[bool]string{true: "yes", false: "no"}[allowed])
	case "list":
		f := Filter{Type: AnyResource, Pattern: AnyPattern, Operation: AnyOperation, Permission: AnyPermission}
		if v, ok := options["type"]; ok {
			f.Type = find(t, resourceNames, v)
		}
		if v, ok := options["name"]; ok {
			f.Name = &v
		}
		if v, ok := options["principal"]; ok {
			f.Principal = &v
		}
		if v, ok := options["pattern"]; ok {
			f.Pattern = find(t, patternNames, v)
		}
		for _, b := range NewRules(s.bindings).Bindings() {
			if f.Matches(b) {
				fmt.Fprintf(out, "%s\n", shown(b))
			}
		}
	default:
		t.Fatalf("unknown command %q", command)
	}
}

func shown(b Binding) string {
	name := b.Name
	if b.Pattern == Prefixed {
		name += "…"
	}
	return fmt.Sprintf("%s %s %s %s %s from %s", strings.ToLower(b.Permission.String()), b.Principal, b.Operation, b.Type, name, b.Host)
}

func TestBinding_Check(t *testing.T) {
	t.Parallel()
	good := Binding{Topic, "orders", Literal, "User:alice", Wildcard, Read, Allow}
	for what, change := range map[string]func(*Binding){
		"a type of filters":       func(b *Binding) { b.Type = AnyResource },
		"no such type":            func(b *Binding) { b.Type = 8 },
		"a pattern of filters":    func(b *Binding) { b.Pattern = Match },
		"an operation of filters": func(b *Binding) { b.Operation = AnyOperation },
		"no such operation":       func(b *Binding) { b.Operation = 16 },
		"no permission":           func(b *Binding) { b.Permission = AnyPermission },
		"no name":                 func(b *Binding) { b.Name = "" },
		"another cluster":         func(b *Binding) { b.Type, b.Name = Cluster, "mine" },
		"no colon":                func(b *Binding) { b.Principal = "alice" },
	} {
		b := good
		change(&b)
		if err := b.Check(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %+v: %v", what, b, err)
		}
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}

// Whatever the order in which bindings came, the answer is the same, and it is that of looking at each.
func TestRules_LikeLookingAtEach(t *testing.T) {
	t.Parallel()
	names := []string{"a", "ab", "abc", "b", Wildcard}
	var bindings []Binding
	for n := range 400 { // all kinds of combinations, some of them alike
		b := Binding{
			Type: []ResourceType{Topic, Group}[n%2], Name: names[n*7%5], Pattern: []Pattern{Literal, Prefixed}[n/3%2], Principal: []string{"User:a", "User:b", AnyUser}[n*5%3],
			Host: []string{Wildcard, "10.0.0.1"}[n/11%2], Operation: []Operation{Read, Describe, AllOperations, AlterConfigs}[n/5%4], Permission: []Permission{Allow, Allow, Allow, Deny}[n/2%4],
		}
		bindings = append(bindings, b)
	}
	a := NewAuthorizer(nil, true)
	asked, yes := 0, 0
	for from := 0; from < len(bindings); from += 3 {
		some := bindings[from:min(from+4, len(bindings))]
		r := NewRules(some)
		for _, name := range append(names, "abcd", "x") {
			for _, op := range []Operation{Read, Describe, DescribeConfigs} {
				c := Client{"User:a", "10.0.0.1"}
				var v verdict
				for i := range some {
					if b := &some[i]; b.Type == Topic && b.covers(name) {
						v.hear(some[i:i+1], c, op)
					}
				}
				want := !v.denied && (v.allowed || !v.any)
				if got := a.Allows(r, c, op, Topic, name); got != want {
					t.Fatalf("%v %s of %s: %v, want %v", some, op, name, got, want)
				}
				if asked++; want {
					yes++
				}
			}
		}
	}
	if yes == 0 || yes == asked {
		t.Errorf("%d of %d allowed: the cases are poor", yes, asked)
	}
	if !slices.IsSortedFunc(NewRules(bindings).Bindings(), Binding.Compare) {
		t.Error("not in order")
	}
}

func BenchmarkAllows(b *testing.B) {
	var bindings []Binding
	for n := range 1000 {
		bindings = append(bindings, Binding{Topic, fmt.Sprint("topic-", n), Pattern(3 + n%2), "User:alice", Wildcard, Write, Allow})
	}
	r, a := NewRules(bindings), NewAuthorizer([]string{"User:admin"}, false)
	c := Client{"User:alice", "10.0.0.1"}
	b.ReportAllocs()
	for b.Loop() {
		if !a.Allows(r, c, Write, Topic, "topic-500") {
			b.Fatal("refused")
		}
	}
}
