package service

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"millrace/pkg/messaging"
	"millrace/pkg/telemetry"
	"millrace/pkg/wrongway"
)

func config(t *testing.T, environ ...string) Config {
	t.Helper()
	c, err := FromEnv[Config](append(environ, "DATABASE_URL=postgres://u:p@h/d"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// taken returns what a service is built with, and what it logs and measures of that.
func taken(t *testing.T, name string, c Config) (*Env, string) {
	t.Helper()
	var log bytes.Buffer
	tel, err := telemetry.New(t.Context(), telemetry.Config{}, name, &log)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{program: Program{Name: name, Config: c}, telemetry: tel, log: tel.Logger}
	construct, err := s.takeWrongWays(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := messaging.NewPublisher(c.Kafka, messaging.PublisherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	families, err := tel.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "wrong_way_enabled" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetGauge().GetValue() == 1 {
				log.WriteString("\nenabled: " + m.GetLabel()[0].GetValue())
			}
		}
	}
	return &Env{Config: c, Publisher: publisher, Telemetry: tel, Log: tel.Logger, construct: construct}, log.String()
}

// An empty environment builds the right way: the constructors themselves, and what comes out of them.
func TestWrongWays_NoneByDefault(t *testing.T) {
	for _, name := range []string{"order", "inventory", "notification"} {
		env, said := taken(t, name, config(t))
		if said != "" {
			t.Errorf("%s says %s", name, said)
		}
		for field, pair := range map[string][2]any{
			"consumer":  {env.construct.consumer, rightWay.consumer},
			"publisher": {env.construct.publisher, rightWay.publisher},
			"relay":     {env.construct.relay, rightWay.relay},
		} {
			if reflect.ValueOf(pair[0]).Pointer() != reflect.ValueOf(pair[1]).Pointer() {
				t.Errorf("%s: the %s is not made the right way", name, field)
			}
		}
		c, err := env.Consumer("g")
		if _, ok := c.(*messaging.Consumer); !ok || err != nil {
			t.Errorf("%s: the consumer is a %T, %v", name, c, err)
		}
		if _, ok := env.EventPublisher().(*messaging.Publisher); !ok {
			t.Errorf("%s: the publisher is a %T", name, env.EventPublisher())
		}
	}
}

// Each way is announced, and replaces the part that it says and no other.
func TestWrongWays_ReplaceTheirPart(t *testing.T) {
	parts := map[wrongway.Part]func(constructors) any{
		wrongway.Consumer:  func(c constructors) any { return c.consumer },
		wrongway.Publisher: func(c constructors) any { return c.publisher },
		wrongway.Relay:     func(c constructors) any { return c.relay },
	}
	for _, way := range wrongway.All() {
		for _, service := range way.Services {
			env, said := taken(t, service, config(t, "FAULTS_ENABLED=true", "WRONG_WAYS="+way.Name))
			for _, part := range []string{"WRONG ON PURPOSE", "level=WARN", way.Breaks, "wrong_way=" + way.Name, "enabled: " + way.Name} {
				if !strings.Contains(said, part) {
					t.Errorf("%s in %s does not say %q:\n%s", way.Name, service, part, said)
				}
			}
			for part, of := range parts {
				replaced := reflect.ValueOf(of(env.construct)).Pointer() != reflect.ValueOf(of(rightWay)).Pointer()
				if replaced != (part == way.Replaces) {
					t.Errorf("%s in %s: the %s is replaced: %t", way.Name, service, part, replaced)
				}
			}
		}
	}
}

func TestWrongWays_AreRefused(t *testing.T) {
	for _, c := range []struct {
		environ []string
		service string
		err     string
	}{
		{[]string{"WRONG_WAYS=no-key"}, "order", `WRONG_WAYS is "no-key"; allowed is nothing, unless FAULTS_ENABLED=true`},
		{[]string{"WRONG_WAYS=nokey", "FAULTS_ENABLED=true"}, "order", `WRONG_WAYS: there is no wrong way "nokey"; did you mean no-key?`},
		{[]string{"WRONG_WAYS=dual-write", "FAULTS_ENABLED=true"}, "inventory", "WRONG_WAYS: service inventory has no wrong way dual-write; order has it"},
		{[]string{"WRONG_WAYS=auto-commit,ack-before-work", "FAULTS_ENABLED=true"}, "order", "both replace the consumer"},
	} {
		if err := config(t, c.environ...).ValidateFor(c.service); err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%v: %v, want %s", c.environ, err, c.err)
		}
	}
}
