package postgres_test

import (
	"errors"
	"testing"
	"time"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/messaging/outbox"
	"millrace/pkg/postgres/postgrestest"
	"millrace/services/inventory/postgres"
)

// What fails before the commit leaves nothing behind; what fails after it is done, and
// a second delivery changes nothing.
func TestStore_Faults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		point fault.Point
		kept  int64 // after the failure
	}{{fault.EffectBeforeCommit, 0}, {fault.EffectAfterCommit, 1}} {
		t.Run(string(c.point), func(t *testing.T) {
			t.Parallel()
			faults := fault.New(fault.Options{}, fault.EffectBeforeCommit, fault.EffectAfterCommit)
			pool := postgrestest.New(t, postgres.Migrations()...)
			s := postgres.NewStore(pool, outbox.NewWriter(nil), faults, time.Now)
			set(t, s, "kettle", 5)
			rule := fault.Rule{Point: c.point, Kind: fault.Error, Match: map[string]string{
				fault.Group: events.GroupInventory, fault.OrderID: "o-1", fault.ProductID: "kettle",
			}}
			if err := faults.Set(rule); err != nil {
				t.Fatal(err)
			}
			if _, made, err := s.Reserve(t.Context(), events.GroupInventory, "m-0", newOrder("o-0", item("kettle", 1))); !made || err != nil {
				t.Errorf("another order: made %v, %v", made, err)
			}
			var injected *fault.InjectedError
			if _, made, err := s.Reserve(t.Context(), events.GroupInventory, "m-1", newOrder("o-1", item("green-tea", 1), item("kettle", 1))); made || !errors.As(err, &injected) {
				t.Errorf("made %v, %v", made, err)
			}
			for _, table := range []string{"reservations", "inbox", "outbox"} {
				if n := count(t, pool, `SELECT count(*) FROM `+table); n != 1+c.kept {
					t.Errorf("%d rows in %s, want %d", n, table, 1+c.kept)
				}
			}
			faults.ClearAll()
			if _, made, err := s.Reserve(t.Context(), events.GroupInventory, "m-1", newOrder("o-1", item("kettle", 1))); made != (c.kept == 0) || err != nil {
				t.Errorf("second delivery: made %v, %v", made, err)
			}
			if stock := stockOf(t, s, "kettle"); stock.Available != 3 || stock.Reserved != 2 {
				t.Errorf("stock %+v", stock)
			}
		})
	}
}
