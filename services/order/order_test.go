package order

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"millrace/pkg/events"
)

var (
	catalogue = NewCatalogue([]Product{{"coffee-beans", "Coffee beans", 1250}, {"kettle", "Kettle", 5490}})
	now       = time.Date(2026, 11, 22, 8, 15, 30, 123456789, time.UTC)
)

func TestPlace_PricesEveryLine(t *testing.T) {
	o, err := Place("id", Request{"customer_123", []Line{{"coffee-beans", 2}, {"kettle", 1}}}, catalogue, now)
	if err != nil {
		t.Fatal(err)
	}
	if o.Total != 7990 || o.Status != Pending || o.Items[0].UnitPrice != 1250 || o.Items[1].UnitPrice != 5490 {
		t.Errorf("placed %+v", o)
	}
	if want := now.Truncate(time.Millisecond); !o.CreatedAt.Equal(want) {
		t.Errorf("created at %v, want %v: the event keeps no more", o.CreatedAt, want)
	}
}

// The largest order that the rules allow stays far below the largest amount.
func TestPlace_TotalCannotOverflow(t *testing.T) {
	const largestPrice = events.Money(1) << 40
	if (largestPrice*MaxItems*MaxQuantity)/MaxItems/MaxQuantity != largestPrice {
		t.Fatal("limits and prices leave int64")
	}
}

func TestCheck(t *testing.T) {
	many := make([]Line, MaxItems+1)
	for i := range many {
		many[i] = Line{fmt.Sprint("p", i), 1}
	}
	ok := []Line{{"coffee-beans", 1}}
	for name, c := range map[string]struct {
		request Request
		want    []string // pointer and rule
	}{
		"good":             {Request{"customer_123", ok}, nil},
		"longest id":       {Request{strings.Repeat("a", 64), ok}, nil},
		"largest quantity": {Request{"c", []Line{{"kettle", MaxQuantity}}}, nil},
		"no customer":      {Request{"", ok}, []string{"/customer_id minLength"}},
		"long customer":    {Request{strings.Repeat("a", 65), ok}, []string{"/customer_id maxLength"}},
		"line break":       {Request{"a\nb", ok}, []string{"/customer_id pattern"}},
		"not ASCII":        {Request{"khách", ok}, []string{"/customer_id pattern"}},
		"no items":         {Request{"c", nil}, []string{"/items minItems"}},
		"too many items":   {Request{"c", many}, []string{"/items maxItems"}},
		"zero":             {Request{"c", []Line{{"kettle", 0}}}, []string{"/items/0/quantity minimum"}},
		"negative":         {Request{"c", []Line{{"kettle", -1}}}, []string{"/items/0/quantity minimum"}},
		"huge":             {Request{"c", []Line{{"kettle", 1 << 62}}}, []string{"/items/0/quantity maximum"}},
		"unknown product":  {Request{"c", []Line{{"moon", 1}}}, []string{"/items/0/product_id unknownProduct"}},
		"no product":       {Request{"c", []Line{{"", 1}}}, []string{"/items/0/product_id minLength"}},
		"same product":     {Request{"c", []Line{{"kettle", 1}, {"kettle", 2}}}, []string{"/items/1/product_id uniqueItems"}},
		"everything at once": {Request{"", []Line{{"moon", 0}, {"kettle", 1}, {"kettle", 9999}}}, []string{
			"/customer_id minLength", "/items/0/product_id unknownProduct", "/items/0/quantity minimum",
			"/items/2/product_id uniqueItems", "/items/2/quantity maximum"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			var invalid *InvalidError
			if err := Check(c.request, catalogue); errors.As(err, &invalid) {
				for _, v := range invalid.Violations {
					got = append(got, v.Pointer+" "+v.Rule)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("broken %v, want %v", got, c.want)
			}
		})
	}
}

func TestCheck_BoundsItsAnswer(t *testing.T) {
	lines := make([]Line, MaxItems)
	var invalid *InvalidError
	if err := Check(Request{"c", lines}, catalogue); !errors.As(err, &invalid) || len(invalid.Violations) != maxViolations {
		t.Errorf("%v", err)
	}
}

func TestStatus_Next(t *testing.T) {
	for _, c := range []struct {
		from, outcome, want Status
		changed             bool
		err                 error
	}{
		{Pending, Confirmed, Confirmed, true, nil},
		{Pending, Rejected, Rejected, true, nil},
		{Confirmed, Confirmed, Confirmed, false, nil},
		{Rejected, Rejected, Rejected, false, nil},
		{Confirmed, Rejected, Confirmed, false, ErrContradiction},
		{Rejected, Confirmed, Rejected, false, ErrContradiction},
		{Pending, Pending, Pending, false, ErrNotAnOutcome},
	} {
		if got, changed, err := c.from.Next(c.outcome); got != c.want || changed != c.changed || !errors.Is(err, c.err) {
			t.Errorf("%s, %s heard: %s, %v, %v", c.from, c.outcome, got, changed, err)
		}
	}
}

func TestRequest_FingerprintTellsRequestsApart(t *testing.T) {
	requests := []Request{
		{"a", []Line{{"b", 1}}}, {"a", []Line{{"b", 2}}}, {"ab", []Line{{"", 1}}}, {"a", []Line{{"b", 1}, {"c", 1}}},
		{"a", []Line{{"c", 1}, {"b", 1}}}, {"a", nil},
	}
	for i, a := range requests {
		for j, b := range requests {
			if same := a.Fingerprint() == b.Fingerprint(); same != (i == j) {
				t.Errorf("%v and %v: same fingerprint is %v", a, b, same)
			}
		}
	}
}

// What the payload has no field for travels in headers, and the client's key does not.
func TestOrder_Headers(t *testing.T) {
	o, err := Place("id", Request{"customer_123", []Line{{"coffee-beans", 2}, {"kettle", 1}}}, catalogue, now)
	if err != nil {
		t.Fatal(err)
	}
	if h := o.Headers(Key{}); len(h) != 1 || h[events.HeaderUnitPrices] != "12.50,54.90" {
		t.Errorf("%v", h)
	}
	const sum = "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683" // printf key | sha256sum
	if h := o.Headers(Key{Value: "key"}); len(h) != 2 || h[events.HeaderIdempotencyKeyHash] != sum {
		t.Errorf("%v", h)
	}
}

func TestOutcomeOf(t *testing.T) {
	if o, ok := OutcomeOf(events.InventoryReserved{OrderID: "x", Timestamp: now}); !ok || o.Status != Confirmed || o.OrderID != "x" || !o.At.Equal(now) {
		t.Errorf("%+v, %v", o, ok)
	}
	rejected := events.InventoryRejected{OrderID: "x", Reason: events.ReasonInsufficientStock, ProductID: "kettle", Timestamp: now}
	if o, ok := OutcomeOf(rejected); !ok || !o.At.Equal(now) || o.Status != Rejected || o.Reason != "INSUFFICIENT_STOCK kettle" {
		t.Errorf("%+v, %v", o, ok)
	}
	if _, ok := OutcomeOf(events.OrderCreated{}); ok {
		t.Error("an order is no outcome of itself")
	}
}

func ExamplePlace() {
	o, _ := Place("o-1", Request{CustomerID: "customer_123", Lines: []Line{{"coffee-beans", 2}}}, catalogue, now)
	fmt.Println(o.Status, o.Total)
	_, err := Place("o-2", Request{CustomerID: "customer_123", Lines: []Line{{"coffee-beans", -2}}}, catalogue, now)
	fmt.Println(err)
	// Output:
	// PENDING 25.00
	// order breaks 1 rule(s), first: /items/0/quantity must be at least 1
}
