package wrongways

import (
	"net/http"
	"strings"
	"testing"

	"millrace/pkg/events"
	"millrace/pkg/wrongway"
)

// A handler that fails once costs the message: it was acknowledged, or is taken for a duplicate, before the work was done. The
// group says that it has read everything, and the dead letter topic is empty.
func TestFailedHandlerLosesTheMessage(t *testing.T) {
	for _, way := range []string{wrongway.AckBeforeWork, wrongway.DedupBeforeHandler, wrongway.AutoCommit} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			bothWays(t, way, func(s *shop, way string, wrong bool) {
				t := s.t
				inventory := s.inventory(inventoryDatabase(t).Config().ConnString(), way, "consume.before-effect=error,times=1,match.order_id=first")
				inventory.Ready()
				s.publish("first", 0)
				next := s.publish("second", 0) + 1
				eventually(t, inventory, "the order behind it is decided on", func() bool { return reserved(inventory, "second") })
				eventually(t, inventory, "the group has committed both", func() bool { return s.committed(0) == next })
				if got := reserved(inventory, "first"); got == wrong {
					t.Errorf("the order whose handler failed once is reserved: %t\n%s", got, inventory.Logs)
				}
				if n := s.ends(events.TopicOrdersDLQ); n != 0 {
					t.Errorf("%d dead letters", n)
				}
				if lost := metric(inventory, outcome(way, "lost")); wrong && lost != 1 {
					t.Errorf("%v messages are counted as lost", lost)
				}
			})
		})
	}
}

// A process that ends in the middle of a message loses it when the offset was committed before the work was done.
func TestEndInTheMiddleLosesTheMessage(t *testing.T) {
	for _, way := range []string{wrongway.AckBeforeWork, wrongway.AutoCommit} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			bothWays(t, way, func(s *shop, way string, wrong bool) {
				t := s.t
				database := inventoryDatabase(t).Config().ConnString()
				dies := s.inventory(database, way, "consume.before-effect=hang,match.order_id=first")
				dies.Ready()
				next := s.publish("first", 0) + 1
				eventually(t, dies, "the message is in hand", func() bool { return strings.Contains(dies.Logs.String(), "fault injected") })
				if wrong {
					eventually(t, dies, "its offset is committed", func() bool { return s.committed(0) == next })
				}
				if err := dies.Stop(); err != nil {
					t.Fatal(err)
				}
				if reached := s.committed(0); !wrong && reached != 0 {
					t.Errorf("offset %d is committed", reached)
				}
				follows := s.inventory(database, way, "")
				follows.Ready()
				s.publish("second", 0)
				eventually(t, follows, "the order behind it is decided on", func() bool { return reserved(follows, "second") })
				if got := reserved(follows, "first"); got == wrong {
					t.Errorf("the order that was in hand is reserved: %t\n%s", got, follows.Logs)
				}
			})
		})
	}
}

// A message that never succeeds holds up its partition, and an instance that joins gets no partition while it is redelivered.
// The right way puts it aside after three tries.
func TestUnboundedNackHoldsUpTheGroup(t *testing.T) {
	bothWays(t, wrongway.UnboundedNack, func(s *shop, way string, wrong bool) {
		t := s.t
		database := inventoryDatabase(t).Config().ConnString()
		const poison = "consume.before-effect=error,match.order_id=poison"
		first := s.inventory(database, way, poison)
		first.Ready()
		s.publish("poison", 0)
		s.publish("behind", 0)
		s.publish("beside", 1)
		eventually(t, first, "the order in another partition is decided on", func() bool { return reserved(first, "beside") })
		if !wrong {
			eventually(t, first, "the order behind it is decided on", func() bool { return reserved(first, "behind") })
			if n := s.ends(events.TopicOrdersDLQ); n != 1 {
				t.Errorf("%d dead letters, want 1", n)
			}
			second := s.inventory(database, way, poison)
			second.Ready()
			return
		}
		nacked := func() float64 { return metric(first, outcome(way, "nacked")) }
		eventually(t, first, "the message was redelivered often", func() bool { return nacked() > 10 })
		if reserved(first, "behind") {
			t.Error("the order behind it is decided on")
		}

		second := s.inventory(database, way, poison)
		eventually(t, second, "the group waits for its members to join anew", func() bool { return s.state() == "PreparingRebalance" })
		before := nacked()
		eventually(t, first, "the message is redelivered on and on", func() bool { return nacked() > before+10 })
		if state := s.state(); state != "PreparingRebalance" {
			t.Errorf("the group is %s while the message is redelivered", state)
		}
		if status, body := second.Do(http.MethodGet, "/readyz", ""); status != http.StatusServiceUnavailable || !strings.Contains(body, "is not joined") {
			t.Errorf("the other instance is in the group while the message is redelivered: %d %s", status, body)
		}
		if n := s.ends(events.TopicOrdersDLQ); n != 0 {
			t.Errorf("%d dead letters", n)
		}

		// What was held up goes on when the fault is gone: nothing is lost by it.
		for _, instance := range []interface {
			Do(string, string, string) (int, string)
		}{first, second} {
			if status, body := instance.Do(http.MethodDelete, "/admin/faults", ""); status/100 != 2 {
				t.Fatalf("%d %s", status, body)
			}
		}
		eventually(t, second, "the order behind it is decided on at last", func() bool { return reserved(second, "behind") })
		second.Ready()
	})
}
