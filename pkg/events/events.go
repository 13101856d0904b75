package events

import (
	"strconv"
	"time"
)

// Type is the value of event_type.
type Type string

// Types of events.
const (
	TypeOrderCreated      Type = "ORDER_CREATED"
	TypeInventoryReserved Type = "INVENTORY_RESERVED"
	TypeInventoryRejected Type = "INVENTORY_REJECTED"
	TypeStockAdjusted     Type = "STOCK_ADJUSTED"
)

// Types lists all types of events.
func Types() []Type {
	return []Type{TypeOrderCreated, TypeInventoryReserved, TypeInventoryRejected, TypeStockAdjusted}
}

// Event is one of [OrderCreated], [InventoryReserved], [InventoryRejected] and
// [StockAdjusted].
type Event interface {
	// Type is the value of event_type.
	Type() Type
	// Topic is where the event is published.
	Topic() string
	// Key is the record key, so that the events of one thing keep their order: the
	// order id, of StockAdjusted the product id.
	Key() string
	// Validate returns a *[FieldError] that names the first field that breaks a rule.
	Validate() error
}

// Item is one line of an order.
type Item struct {
	ProductID string `json:"product_id"`
	Quantity  int64  `json:"quantity"`
}

// OrderCreated says that a customer has placed an order.
type OrderCreated struct {
	OrderID    string    `json:"order_id"`
	CustomerID string    `json:"customer_id"`
	Items      []Item    `json:"items"`
	Total      Money     `json:"total"`
	Timestamp  time.Time `json:"timestamp"`
}

// InventoryReserved says that the stock for all items of an order is set aside.
type InventoryReserved struct {
	OrderID    string    `json:"order_id"`
	CustomerID string    `json:"customer_id"`
	Items      []Item    `json:"items"`
	Timestamp  time.Time `json:"timestamp"`
}

// Reason is why an order was refused.
type Reason string

// Reasons for [InventoryRejected].
const (
	ReasonInsufficientStock Reason = "INSUFFICIENT_STOCK"
	ReasonUnknownProduct    Reason = "UNKNOWN_PRODUCT"
)

// InventoryRejected says that an order cannot be served, and which item is the
// first in the way. Nothing has been set aside.
type InventoryRejected struct {
	OrderID    string    `json:"order_id"`
	CustomerID string    `json:"customer_id"`
	Reason     Reason    `json:"reason"`
	ProductID  string    `json:"product_id"`
	Wanted     int64     `json:"wanted"`
	Available  int64     `json:"available"`
	Timestamp  time.Time `json:"timestamp"`
}

// StockAdjusted says that somebody has set the stock of a product. The delta counts,
// not the sum: it commutes with the reservations, so the stock is the sum of all
// deltas minus all reservations, in whatever order they are read.
type StockAdjusted struct {
	ProductID string `json:"product_id"`
	// Sequence counts the adjustments of this product, from 1. A reader that meets a
	// number twice has met a copy; a number that is missing was lost.
	Sequence       int64     `json:"sequence"`
	AvailableDelta int64     `json:"available_delta"`
	Available      int64     `json:"available"` // afterwards
	Timestamp      time.Time `json:"timestamp"`
}

func (OrderCreated) Type() Type      { return TypeOrderCreated }
func (InventoryReserved) Type() Type { return TypeInventoryReserved }
func (InventoryRejected) Type() Type { return TypeInventoryRejected }
func (StockAdjusted) Type() Type     { return TypeStockAdjusted }

func (OrderCreated) Topic() string      { return TopicOrders }
func (InventoryReserved) Topic() string { return TopicInventory }
func (InventoryRejected) Topic() string { return TopicInventory }
func (StockAdjusted) Topic() string     { return TopicStock }

func (e OrderCreated) Key() string      { return e.OrderID }
func (e InventoryReserved) Key() string { return e.OrderID }
func (e InventoryRejected) Key() string { return e.OrderID }
func (e StockAdjusted) Key() string     { return e.ProductID }

// Validate implements [Event].
func (e OrderCreated) Validate() error {
	r := rules{event: e.Type()}
	r.id("order_id", e.OrderID)
	r.id("customer_id", e.CustomerID)
	r.items(e.Items)
	r.check(e.Total >= 0, "total", e.Total, "must be zero or more")
	r.time(e.Timestamp)
	return r.broken()
}

// Validate implements [Event].
func (e InventoryReserved) Validate() error {
	r := rules{event: e.Type()}
	r.id("order_id", e.OrderID)
	r.id("customer_id", e.CustomerID)
	r.items(e.Items)
	r.time(e.Timestamp)
	return r.broken()
}

// Validate implements [Event].
func (e InventoryRejected) Validate() error {
	r := rules{event: e.Type()}
	r.id("order_id", e.OrderID)
	r.id("customer_id", e.CustomerID)
	r.check(e.Reason != "", "reason", e.Reason, "must not be empty")
	r.id("product_id", e.ProductID)
	r.check(e.Wanted > 0, "wanted", e.Wanted, "must be 1 or more")
	r.check(e.Available >= 0, "available", e.Available, "must be zero or more")
	r.time(e.Timestamp)
	return r.broken()
}

// MaxStock bounds the stock of one product, and so each step of it.
const MaxStock = 1_000_000_000_000

// Validate implements [Event].
func (e StockAdjusted) Validate() error {
	r := rules{event: e.Type()}
	r.id("product_id", e.ProductID)
	r.check(e.Sequence > 0, "sequence", e.Sequence, "must be 1 or more")
	r.check(e.AvailableDelta >= -MaxStock && e.AvailableDelta <= MaxStock, "available_delta", e.AvailableDelta, "must lie within plus and minus "+strconv.Itoa(MaxStock))
	r.check(e.Available >= 0 && e.Available <= MaxStock, "available", e.Available, "must be from 0 to "+strconv.Itoa(MaxStock))
	r.time(e.Timestamp)
	return r.broken()
}
