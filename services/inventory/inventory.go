// Package inventory decides whether an order can be served from stock: all of it
// or nothing. A refusal is a result, not an error.
//
// Nothing here does I/O, reads a clock or logs. Adapters live in consumer and
// httpapi (in) and postgres (out); app puts them together.
package inventory

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"millrace/pkg/events"
)

// MaxAvailable bounds the stock of one product. It keeps every sum of the
// quantities of one order far away from the end of int64.
const MaxAvailable = events.MaxStock

// MaxProductIDLength bounds the product ids that get a stock.
const MaxProductIDLength = 64

var (
	// ErrNoReservation is returned when an order was never decided on.
	ErrNoReservation = errors.New("no reservation for this order")

	// ErrNoStock is returned when a product was never stocked.
	ErrNoStock = errors.New("no stock of this product")

	// ErrBadStock is returned when a stock cannot be set to what was asked for.
	ErrBadStock = errors.New("the stock must be a whole number from 0 to 1000000000000")
)

// Stock is what there is of one product.
type Stock struct {
	ProductID string
	Available int64 // can be reserved
	Reserved  int64 // is reserved for orders
}

// Line is a quantity of one product.
type Line struct {
	ProductID string
	Quantity  int64
}

// Status is what became of an order's request for stock.
type Status string

// The results of a decision. Both are final.
const (
	Reserved Status = "RESERVED"
	Rejected Status = "REJECTED"
)

// Refusal is the first line of an order, by product id, that stock cannot serve.
type Refusal struct {
	Reason    events.Reason
	ProductID string
	Wanted    int64
	Available int64
}

// Reservation is the decision about one order.
type Reservation struct {
	OrderID    string
	CustomerID string
	Lines      []Line   // by product id, each product once; what was asked for
	Refusal    *Refusal // nil: everything in Lines is reserved
	DecidedAt  time.Time
}

// Status says whether the lines are reserved.
func (r Reservation) Status() Status {
	if r.Refusal != nil {
		return Rejected
	}
	return Reserved
}

// Demand is what an order takes from stock: by product id, each product once. It
// is also the order in which stock is locked, so that two orders cannot wait for
// each other.
func Demand(items []events.Item) []Line {
	lines := make([]Line, 0, len(items))
	for _, item := range items {
		i, found := slices.BinarySearchFunc(lines, item.ProductID, func(l Line, id string) int {
			return cmp.Compare(l.ProductID, id)
		})
		if found {
			lines[i].Quantity += item.Quantity
		} else {
			lines = slices.Insert(lines, i, Line{ProductID: item.ProductID, Quantity: item.Quantity})
		}
	}
	return lines
}

// Decide decides about an order. available holds the stock of the products in
// lines; a product that is not in it does not exist.
func Decide(order events.OrderCreated, lines []Line, available map[string]int64, now time.Time) Reservation {
	r := Reservation{
		OrderID: order.OrderID, CustomerID: order.CustomerID, Lines: lines,
		DecidedAt: now.UTC().Truncate(time.Millisecond), // what the event tells: from it the reservation can be built anew
	}
	for _, line := range lines {
		have, known := available[line.ProductID]
		if known && have >= line.Quantity {
			continue
		}
		r.Refusal = &Refusal{Reason: events.ReasonInsufficientStock, ProductID: line.ProductID, Wanted: line.Quantity, Available: have}
		if !known {
			r.Refusal.Reason = events.ReasonUnknownProduct
		}
		break
	}
	return r
}

// Event tells the other services of the decision.
func (r Reservation) Event() events.Event {
	if r.Refusal != nil {
		return events.InventoryRejected{
			OrderID: r.OrderID, CustomerID: r.CustomerID, Reason: r.Refusal.Reason, ProductID: r.Refusal.ProductID,
			Wanted: r.Refusal.Wanted, Available: r.Refusal.Available, Timestamp: r.DecidedAt,
		}
	}
	items := make([]events.Item, len(r.Lines))
	for i, line := range r.Lines {
		items[i] = events.Item{ProductID: line.ProductID, Quantity: line.Quantity}
	}
	return events.InventoryReserved{OrderID: r.OrderID, CustomerID: r.CustomerID, Items: items, Timestamp: r.DecidedAt}
}

// Adjustment is one time that somebody has set the stock of a product.
type Adjustment struct {
	ProductID string
	// Number counts the adjustments of the product, from 1.
	Number int64
	// Delta is what came to Available, or went from it.
	Delta     int64
	Available int64 // afterwards
	At        time.Time
}

// Event tells of the adjustment whoever builds the stock anew.
func (a Adjustment) Event() events.Event {
	return events.StockAdjusted{
		ProductID: a.ProductID, Sequence: a.Number, AvailableDelta: a.Delta, Available: a.Available, Timestamp: a.At,
	}
}

// WellFormedProductID reports whether a product with this id can be stocked.
func WellFormedProductID(id string) bool {
	for i := range len(id) {
		c := id[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return id != "" && len(id) <= MaxProductIDLength
}
