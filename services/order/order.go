package order

import (
	"cmp"
	"slices"
	"time"

	"millrace/pkg/events"
)

// Limits of one order. They keep an order inside one small transaction and its
// total far away from the end of int64.
const (
	MaxItems            = 50
	MaxQuantity         = 1000
	MaxCustomerIDLength = 64
	MaxProductIDLength  = 64
)

// Status says how far an order has come.
type Status string

// The states of an order; see the package comment for the arrows between them.
const (
	Pending   Status = "PENDING"   // placed, stock not yet counted
	Confirmed Status = "CONFIRMED" // every item is reserved
	Rejected  Status = "REJECTED"  // at least one item could not be reserved
)

// Statuses lists every state, in the order in which an order meets them.
var Statuses = []Status{Pending, Confirmed, Rejected}

// Valid reports whether s is one of Statuses.
func (s Status) Valid() bool { return slices.Contains(Statuses, s) }

// Final reports whether an order in this state stays in it.
func (s Status) Final() bool { return s == Confirmed || s == Rejected }

// Next returns the state after an outcome was heard. The same outcome heard
// again changes nothing; a contradicting one is ErrContradiction.
func (s Status) Next(outcome Status) (next Status, changed bool, err error) {
	switch {
	case !outcome.Final():
		return s, false, ErrNotAnOutcome
	case s == Pending:
		return outcome, true, nil
	case s == outcome:
		return s, false, nil
	default:
		return s, false, ErrContradiction
	}
}

// Line is what a customer asks for: how many of which product.
type Line struct {
	ProductID string
	Quantity  int64
}

// Item is a line with the price at which it was sold.
type Item struct {
	Line
	UnitPrice events.Money
}

// Request is an order as the customer sent it, not yet checked.
type Request struct {
	CustomerID string
	Lines      []Line
}

// Order is a placed order.
type Order struct {
	ID         string
	CustomerID string
	Status     Status
	Reason     string // why it was rejected, else empty
	Items      []Item
	Total      events.Money
	TraceID    string // of the request that placed it; empty when it was not traced
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Place prices a request and makes the order of it. Every rule that is broken
// is reported in one *InvalidError, not only the first.
func Place(id string, r Request, c Catalogue, now time.Time) (Order, error) {
	if err := Check(r, c); err != nil {
		return Order{}, err
	}
	now = now.UTC().Truncate(time.Millisecond) // what the event tells: from it the order can be built anew
	o := Order{
		ID: id, CustomerID: r.CustomerID, Status: Pending,
		Items:     make([]Item, len(r.Lines)),
		CreatedAt: now, UpdatedAt: now,
	}
	for i, line := range r.Lines {
		price := c[line.ProductID].Price
		o.Items[i] = Item{Line: line, UnitPrice: price}
		o.Total += price * events.Money(line.Quantity)
	}
	return o, nil
}

// Product is something the shop sells.
type Product struct {
	ID    string
	Name  string
	Price events.Money
}

// Catalogue is every product by its id.
type Catalogue map[string]Product

// NewCatalogue indexes products.
func NewCatalogue(products []Product) Catalogue {
	c := make(Catalogue, len(products))
	for _, p := range products {
		c[p.ID] = p
	}
	return c
}

// Products lists the catalogue by product id.
func (c Catalogue) Products() []Product {
	list := make([]Product, 0, len(c))
	for _, p := range c {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Product) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// Filter picks a page of orders, newest first.
type Filter struct {
	Status     Status // empty: all
	CustomerID string // empty: all
	Before     string // id of the last order of the page before; empty: from the newest
	Limit      int
}

// AsPlaced returns the order as it was when it was placed: the answer to POST
// /orders, whenever it is asked for again.
func (o Order) AsPlaced() Order {
	o.Status, o.Reason, o.UpdatedAt = Pending, "", o.CreatedAt
	return o
}
