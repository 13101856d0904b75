package order

import (
	"time"

	"millrace/pkg/events"
)

// Created is the event that tells the other services of the order.
func (o Order) Created() events.OrderCreated {
	items := make([]events.Item, len(o.Items))
	for i, item := range o.Items {
		items[i] = events.Item{ProductID: item.ProductID, Quantity: item.Quantity}
	}
	return events.OrderCreated{
		OrderID: o.ID, CustomerID: o.CustomerID, Items: items, Total: o.Total, Timestamp: o.CreatedAt,
	}
}

// Headers are what the event's payload, which is the course's, has no field for.
func (o Order) Headers(key Key) map[string]string {
	prices := make([]events.Money, len(o.Items))
	for i, item := range o.Items {
		prices[i] = item.UnitPrice
	}
	headers := map[string]string{events.HeaderUnitPrices: events.FormatUnitPrices(prices)}
	if key.Value != "" {
		headers[events.HeaderIdempotencyKeyHash] = key.Hash()
	}
	return headers
}

// Outcome is what an event of the inventory means for an order.
type Outcome struct {
	OrderID string
	Status  Status
	Reason  string // for people; empty when Confirmed
	At      time.Time
}

// OutcomeOf reads an event; ok is false for one that is no outcome.
func OutcomeOf(e events.Event) (outcome Outcome, ok bool) {
	switch e := e.(type) {
	case events.InventoryReserved:
		return Outcome{OrderID: e.OrderID, Status: Confirmed, At: e.Timestamp}, true
	case events.InventoryRejected:
		return Outcome{OrderID: e.OrderID, Status: Rejected, Reason: string(e.Reason) + " " + e.ProductID, At: e.Timestamp}, true
	default:
		return Outcome{}, false
	}
}
