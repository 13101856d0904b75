package outbox_test

import (
	"strings"
	"testing"
	"time"

	"millrace/pkg/fault"
	"millrace/pkg/messaging/outbox"
	"millrace/pkg/postgres/postgrestest"
)

// Whatever fails in the relay, a row is sent at least once and marked in the end.
func TestRelay_Faults(t *testing.T) {
	t.Parallel()
	for rule, want := range map[string]string{
		"relay.before-publish=error,times=2":                     "a b",
		"relay.before-publish=permanent,times=1":                 "a b",
		"relay.before-publish=error,times=1,match.topic=another": "a b",
		"relay.after-publish=error,times=1":                      "a b a b", // the answer is lost
		"relay.after-publish=duplicate,times=1":                  "a b a b",
		"relay.after-publish=delay,times=1,delay=1ms":            "a b",
		"relay.after-mark=error,times=1":                         "a b",
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			rules, err := fault.ParseRules(rule)
			if err != nil {
				t.Fatal(err)
			}
			fired := make(chan struct{}, 10)
			set := fault.New(fault.Options{Observe: func(fault.Point, fault.Kind) { fired <- struct{}{} }}, fault.RelayPoints()...)
			if err := set.SetAll(rules); err != nil {
				t.Fatal(err)
			}
			pool, broker, w := postgrestest.New(t, outbox.Migrations), newBroker(), outbox.NewWriter(nil)
			add(t, w, pool, "a", "b")
			_, stop := start(t, outbox.RelayConfig{Pool: pool, Publisher: broker, Faults: set})
			eventually(t, "all is marked", func() bool { return pending(t, pool) == 0 })
			if len(rules[0].Match) == 0 {
				select {
				case <-fired:
				case <-time.After(patience):
					t.Error("the fault has not fired")
				}
			}
			add(t, w, pool, "c") // the relay has survived
			eventually(t, "all is marked", func() bool { return pending(t, pool) == 0 })
			stop()
			if got := strings.Join(broker.payloads(), " "); got != want+" c" {
				t.Errorf("sent %s, want %s c", got, want)
			}
		})
	}
}
