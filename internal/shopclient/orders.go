package shopclient

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"millrace/pkg/events"
)

// The states of an order.
const (
	Pending   = "PENDING"
	Confirmed = "CONFIRMED"
	Rejected  = "REJECTED"
)

// Order is an order as the order service tells it.
type Order struct {
	ID         string       `json:"order_id"`
	CustomerID string       `json:"customer_id"`
	Status     string       `json:"status"`
	Reason     string       `json:"reason,omitempty"`
	Items      []Item       `json:"items"`
	Total      events.Money `json:"total"`
	TraceID    string       `json:"trace_id,omitempty"`
	CreatedAt  time.Time    `json:"created_at"`
	UpdatedAt  time.Time    `json:"updated_at"`
}

// Item is a line of an order with its price.
type Item struct {
	ProductID string       `json:"product_id"`
	Quantity  int64        `json:"quantity"`
	UnitPrice events.Money `json:"unit_price"`
}

// Line is what to order.
type Line struct {
	ProductID string `json:"product_id"`
	Quantity  int64  `json:"quantity"`
}

// NewOrder is an order to place.
type NewOrder struct {
	CustomerID string `json:"customer_id"`
	Items      []Line `json:"items"`
}

// Page is a part of the list of orders, newest first.
type Page struct {
	Orders     []Order `json:"orders"`
	NextCursor string  `json:"next_cursor,omitempty"`
}

// Product is something the shop sells.
type Product struct {
	ID    string       `json:"product_id"`
	Name  string       `json:"name"`
	Price events.Money `json:"price"`
}

// Catalogue is all of it.
type Catalogue struct {
	Products []Product `json:"products"`
}

// PlaceOrder places an order. A request with the same idempotency key may be
// repeated without placing a second one; an empty key means none.
func (c *Client) PlaceOrder(ctx context.Context, o NewOrder, idempotencyKey string) (Order, error) {
	header := http.Header{}
	if idempotencyKey != "" {
		header.Set("Idempotency-Key", strconv.Quote(idempotencyKey))
	}
	var placed Order
	err := c.call(ctx, http.MethodPost, "/orders", header, o, &placed)
	return placed, err
}

// Order gets one order.
func (c *Client) Order(ctx context.Context, id string) (Order, error) {
	var o Order
	err := c.call(ctx, http.MethodGet, "/orders/"+url.PathEscape(id), nil, nil, &o)
	return o, err
}

// ListOptions pick a page of orders. Empty fields pick all.
type ListOptions struct {
	Limit      int
	Cursor     string
	Status     string
	CustomerID string
}

// Orders lists orders, newest first.
func (c *Client) Orders(ctx context.Context, o ListOptions) (Page, error) {
	q := url.Values{}
	for key, value := range map[string]string{"cursor": o.Cursor, "status": o.Status, "customer_id": o.CustomerID} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if o.Limit != 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	var page Page
	err := c.call(ctx, http.MethodGet, "/orders?"+q.Encode(), nil, nil, &page)
	return page, err
}

// Products lists what can be ordered.
func (c *Client) Products(ctx context.Context) (Catalogue, error) {
	var list Catalogue
	err := c.call(ctx, http.MethodGet, "/products", nil, nil, &list)
	return list, err
}

// WaitForOutcome asks until the order is no longer pending, or ctx ends.
func (c *Client) WaitForOutcome(ctx context.Context, id string) (Order, error) {
	const pollEvery = 50 * time.Millisecond
	for {
		o, err := c.Order(ctx, id)
		if err != nil || o.Status != Pending {
			return o, err
		}
		select {
		case <-ctx.Done():
			return o, ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}
