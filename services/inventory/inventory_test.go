package inventory

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"millrace/pkg/events"
)

var now = time.Date(2026, 11, 22, 8, 15, 30, 0, time.UTC)

func TestDemand_IsSortedWithEachProductOnce(t *testing.T) {
	got := Demand([]events.Item{{ProductID: "c", Quantity: 1}, {ProductID: "a", Quantity: 2}, {ProductID: "c", Quantity: 3}, {ProductID: "b", Quantity: 4}})
	if want := []Line{{"a", 2}, {"b", 4}, {"c", 4}}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// The largest event that the contract allows does not overflow.
func TestDemand_CannotOverflow(t *testing.T) {
	items := make([]events.Item, events.MaxItems)
	for i := range items {
		items[i] = events.Item{ProductID: "a", Quantity: events.MaxQuantity}
	}
	if got := Demand(items); got[0].Quantity != events.MaxItems*events.MaxQuantity {
		t.Errorf("%v", got)
	}
}

func TestDecide(t *testing.T) {
	order := events.OrderCreated{OrderID: "o-1", CustomerID: "customer_123"}
	for name, c := range map[string]struct {
		lines     []Line
		available map[string]int64
		want      *Refusal
	}{
		"enough":       {[]Line{{"a", 2}, {"b", 3}}, map[string]int64{"a": 2, "b": 4}, nil},
		"one too few":  {[]Line{{"a", 2}, {"b", 5}}, map[string]int64{"a": 2, "b": 4}, &Refusal{events.ReasonInsufficientStock, "b", 5, 4}},
		"first counts": {[]Line{{"a", 3}, {"b", 5}}, map[string]int64{"a": 2, "b": 4}, &Refusal{events.ReasonInsufficientStock, "a", 3, 2}},
		"sold out":     {[]Line{{"a", 1}}, map[string]int64{"a": 0}, &Refusal{events.ReasonInsufficientStock, "a", 1, 0}},
		"unknown":      {[]Line{{"moon", 1}}, map[string]int64{}, &Refusal{events.ReasonUnknownProduct, "moon", 1, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			r := Decide(order, c.lines, c.available, now)
			if (r.Refusal == nil) != (c.want == nil) || r.Refusal != nil && *r.Refusal != *c.want {
				t.Fatalf("refusal %+v, want %+v", r.Refusal, c.want)
			}
			e := r.Event()
			if err := e.Validate(); err != nil {
				t.Error(err)
			}
			if wantType := map[bool]events.Type{true: events.TypeInventoryReserved, false: events.TypeInventoryRejected}[c.want == nil]; e.Type() != wantType || e.Key() != "o-1" {
				t.Errorf("event %s with key %s", e.Type(), e.Key())
			}
		})
	}
}

func TestWellFormedProductID(t *testing.T) {
	for id, want := range map[string]bool{"coffee-beans": true, "A_1": true, "": false, "a b": false, "é": false, strings.Repeat("a", 65): false} {
		if WellFormedProductID(id) != want {
			t.Errorf("%q: %v", id, !want)
		}
	}
}
