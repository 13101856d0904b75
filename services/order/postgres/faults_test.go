package postgres_test

import (
	"errors"
	"testing"
	"time"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/messaging/outbox"
	"millrace/pkg/postgres/postgrestest"
	"millrace/services/order"
	"millrace/services/order/postgres"
)

// A request that fails before the commit leaves nothing; one that fails after it has
// placed the order and its event, and the client that repeats it gets that order.
func TestStore_FaultsOfInsert(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		point fault.Point
		kept  int // after the failure
	}{{fault.OrderBeforeCommit, 0}, {fault.OrderAfterCommit, 1}} {
		t.Run(string(c.point), func(t *testing.T) {
			t.Parallel()
			faults := fault.New(fault.Options{}, fault.OrderBeforeCommit, fault.OrderAfterCommit)
			pool := postgrestest.New(t, postgres.Migrations()...)
			s := postgres.NewStore(pool, outbox.NewWriter(nil), faults, time.Now)
			if err := faults.Set(fault.Rule{Point: c.point, Kind: fault.Error, Times: 1, Match: map[string]string{fault.ProductID: "coffee-beans"}}); err != nil {
				t.Fatal(err)
			}
			key := order.Key{Value: "first"}
			first := newOrder(t, s, "customer_123")
			var injected *fault.InjectedError
			if _, err := s.Insert(t.Context(), first, key); !errors.As(err, &injected) {
				t.Fatal(err)
			}
			for _, table := range []string{"orders", "outbox", "idempotency_keys"} {
				if n := count(t, pool, `SELECT count(*) FROM `+table); n != c.kept {
					t.Errorf("%d rows in %s, want %d", n, table, c.kept)
				}
			}
			second := newOrder(t, s, "customer_123")
			placed, err := s.Insert(t.Context(), second, key)
			if want := map[int]string{0: second.ID, 1: first.ID}[c.kept]; err != nil || placed.ID != want {
				t.Errorf("the repeated request placed %s, want %s; %v", placed.ID, want, err)
			}
			if n := count(t, pool, `SELECT count(*) FROM outbox`); n != 1 {
				t.Errorf("%d events", n)
			}
		})
	}
}

func TestStore_FaultsOfDecide(t *testing.T) {
	t.Parallel()
	faults := fault.New(fault.Options{}, fault.EffectBeforeCommit, fault.EffectAfterCommit)
	pool := postgrestest.New(t, postgres.Migrations()...)
	s := postgres.NewStore(pool, outbox.NewWriter(nil), faults, time.Now)
	o := place(t, s, "customer_123")
	outcome := order.Outcome{OrderID: o.ID, Status: order.Confirmed}
	for _, c := range []struct {
		point  fault.Point
		status order.Status
	}{{fault.EffectBeforeCommit, order.Pending}, {fault.EffectAfterCommit, order.Confirmed}} {
		if err := faults.Set(fault.Rule{Point: c.point, Kind: fault.Error, Times: 1, Match: map[string]string{fault.OrderID: o.ID}}); err != nil {
			t.Fatal(err)
		}
		if changed, err := s.Decide(t.Context(), events.GroupOrder, "m-1", outcome); changed || err == nil {
			t.Errorf("%s: changed %v, %v", c.point, changed, err)
		}
		if got, err := s.Order(t.Context(), o.ID); err != nil || got.Status != c.status {
			t.Errorf("%s: %s, %v; want %s", c.point, got.Status, err, c.status)
		}
	}
	if changed, err := s.Decide(t.Context(), events.GroupOrder, "m-1", outcome); changed || err != nil {
		t.Errorf("after all of it: changed %v, %v", changed, err)
	}
}
