package shopclient

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"millrace/internal/collector"
	"millrace/internal/mailbox"
	"millrace/internal/span"
)

// Mails lists the mails of an order; an empty id means all.
func (c *Client) Mails(ctx context.Context, orderID string) ([]mailbox.Message, error) {
	var all []mailbox.Message
	q := url.Values{"limit": {"1000"}}
	if orderID != "" {
		q.Set("order_id", orderID)
	}
	for {
		var page mailbox.Page
		if err := c.call(ctx, http.MethodGet, "/messages?"+q.Encode(), nil, nil, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Messages...)
		if page.Next == 0 {
			return all, nil
		}
		q.Set("after", strconv.FormatInt(page.Next, 10))
	}
}

// OrderSpans lists the spans that have to do with an order.
func (c *Client) OrderSpans(ctx context.Context, orderID string) ([]span.Span, error) {
	var a collector.Answer
	err := c.call(ctx, http.MethodGet, "/api/orders/"+url.PathEscape(orderID)+"/spans", nil, nil, &a)
	return a.Spans, err
}

// TraceSpans lists the spans of a trace, and those that link to it.
func (c *Client) TraceSpans(ctx context.Context, traceID string) ([]span.Span, error) {
	var a collector.Answer
	err := c.call(ctx, http.MethodGet, "/api/traces/"+url.PathEscape(traceID), nil, nil, &a)
	return a.Spans, err
}

// Stock is what inventory has of a product.
type Stock struct {
	ProductID string `json:"product_id"`
	Available int64  `json:"available"`
	Reserved  int64  `json:"reserved"`
}

// StockByProduct lists the stock.
func (c *Client) StockByProduct(ctx context.Context) (map[string]Stock, error) {
	var list struct {
		Stock []Stock `json:"stock"`
	}
	if err := c.call(ctx, http.MethodGet, "/stock", nil, nil, &list); err != nil {
		return nil, err
	}
	m := make(map[string]Stock, len(list.Stock))
	for _, s := range list.Stock {
		m[s.ProductID] = s
	}
	return m, nil
}

// SetStock sets how much of a product can be reserved.
func (c *Client) SetStock(ctx context.Context, productID string, available int64) error {
	return c.call(ctx, http.MethodPut, "/stock/"+url.PathEscape(productID), nil, map[string]int64{"available": available}, nil)
}
