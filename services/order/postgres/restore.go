package postgres

import (
	"context"
	"fmt"
	"time"

	"millrace/pkg/events"
	"millrace/pkg/postgres"
	"millrace/services/order"
)

// Restorer stores what the log tells of, see package rebuild. Nothing goes to the
// outbox: all of it was told before.
type Restorer struct{ db postgres.Beginner }

// NewRestorer returns a Restorer on a migrated database: on a pool, or in a transaction
// that the caller is going to undo.
func NewRestorer(db postgres.Beginner) *Restorer { return &Restorer{db} }

// Prices implements rebuild.Store.
func (r *Restorer) Prices(ctx context.Context) (map[string]events.Money, error) {
	prices := map[string]events.Money{}
	var (
		id    string
		price int64
	)
	err := postgres.ForEach(ctx, r.db, []any{&id, &price}, func() error {
		prices[id] = events.Money(price)
		return nil
	}, `SELECT product_id, price FROM products`)
	return prices, err
}

const restoreOrdersSQL = `
	WITH stored AS (
		INSERT INTO orders (order_id, customer_id, status, total, trace_id, created_at, updated_at)
		SELECT order_id::uuid, customer_id, 'PENDING', total, trace_id, at, at
		FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::timestamptz[]) AS o (order_id, customer_id, total, trace_id, at)
		ON CONFLICT DO NOTHING RETURNING order_id
	), items AS (
		INSERT INTO order_items (order_id, line, product_id, quantity, unit_price)
		SELECT s.order_id, i.line, i.product_id, i.quantity, i.unit_price
		FROM unnest($6::text[], $7::int[], $8::text[], $9::bigint[], $10::bigint[]) AS i (order_id, line, product_id, quantity, unit_price)
		JOIN stored s ON s.order_id = i.order_id::uuid
	), keys AS (
		INSERT INTO idempotency_keys (key, fingerprint, order_id, created_at)
		SELECT k.key, k.fingerprint, s.order_id, k.at
		FROM unnest($11::text[], $12::bytea[], $13::text[], $14::timestamptz[]) AS k (key, fingerprint, order_id, at)
		JOIN stored s ON s.order_id = k.order_id::uuid
		ON CONFLICT DO NOTHING RETURNING key
	)
	SELECT (SELECT count(*) FROM stored), (SELECT count(*) FROM keys)`

// RestoreOrders implements rebuild.Store.
func (r *Restorer) RestoreOrders(ctx context.Context, orders []order.Placed) (stored, keys int64, err error) {
	n := len(orders)
	ids, customers, totals, traces, times := make([]string, n), make([]string, n), make([]int64, n), make([]string, n), make([]time.Time, n)
	var (
		itemOrders, products []string
		lines                []int32
		quantities, prices   []int64
		hashes, keyOrders    []string
		fingerprints         [][]byte
		keyTimes             []time.Time
	)
	for i, o := range orders {
		ids[i], customers[i], totals[i], traces[i], times[i] = o.ID, o.CustomerID, int64(o.Total), o.TraceID, o.CreatedAt
		ofOrder, quantitiesOfOrder, pricesOfOrder := columns(o.Items)
		for line := range o.Items {
			itemOrders, lines = append(itemOrders, o.ID), append(lines, int32(line)+1) //nolint:gosec // bounded by events.MaxItems
		}
		products, quantities, prices = append(products, ofOrder...), append(quantities, quantitiesOfOrder...), append(prices, pricesOfOrder...)
		if o.KeyHash != "" {
			hashes, fingerprints = append(hashes, o.KeyHash), append(fingerprints, o.Fingerprint[:])
			keyOrders, keyTimes = append(keyOrders, o.ID), append(keyTimes, o.CreatedAt)
		}
	}
	err = postgres.ForEach(ctx, r.db, []any{&stored, &keys}, func() error { return nil }, restoreOrdersSQL,
		ids, customers, totals, traces, times, itemOrders, lines, products, quantities, prices, hashes, fingerprints, keyOrders, keyTimes)
	return stored, keys, err
}

// restoreOutcomesSQL does for many what decideSQL does for one: the first outcome of an
// order counts, and a message is marked if its outcome is the one that counts.
const restoreOutcomesSQL = `
	WITH given AS (
		SELECT place, message_id, order_id::uuid, status, reason, at, message_at
		FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[])
			WITH ORDINALITY AS g (message_id, order_id, status, reason, at, message_at, place)
	), first AS (
		SELECT DISTINCT ON (order_id) order_id, status, reason, at FROM given ORDER BY order_id, place
	), decided AS (
		UPDATE orders o SET status = f.status, reason = f.reason, updated_at = greatest(o.created_at, f.at)
		FROM first f WHERE f.order_id = o.order_id AND o.status = 'PENDING' RETURNING o.order_id
	), settled AS (
		SELECT o.order_id, CASE o.status WHEN 'PENDING' THEN f.status ELSE o.status END AS status FROM orders o JOIN first f USING (order_id)
	), marked AS (
		INSERT INTO inbox (consumer_group, message_id, processed_at)
		SELECT $1, g.message_id, g.message_at FROM given g JOIN settled USING (order_id, status)
		ON CONFLICT DO NOTHING RETURNING message_id
	)
	SELECT 0::bigint, (SELECT count(*) FROM decided), (SELECT count(*) FROM marked)
	UNION ALL
	SELECT g.place, (s.order_id IS NULL)::int, 0 FROM given g LEFT JOIN settled s USING (order_id) WHERE s.status IS DISTINCT FROM g.status`

// RestoreOutcomes implements rebuild.Store.
func (r *Restorer) RestoreOutcomes(ctx context.Context, group string, heard []order.Heard) (decided, marked int64, unfit map[int]error, err error) {
	unfit = map[int]error{}
	messages, ids, statuses, reasons := make([]string, 0, len(heard)), make([]string, 0, len(heard)), make([]string, 0, len(heard)), make([]string, 0, len(heard))
	times, messageTimes := make([]time.Time, 0, len(heard)), make([]time.Time, 0, len(heard))
	places := make([]int, 0, len(heard))
	for i, h := range heard {
		if !wellFormedID(h.OrderID) {
			unfit[i] = order.ErrNotFound
			continue
		}
		messages, ids, statuses, reasons = append(messages, h.MessageID), append(ids, h.OrderID), append(statuses, string(h.Status)), append(reasons, h.Reason)
		times, messageTimes, places = append(times, h.At), append(messageTimes, h.MessageAt), append(places, i)
	}
	var place, first, second int64
	err = postgres.ForEach(ctx, r.db, []any{&place, &first, &second}, func() error {
		switch {
		case place == 0:
			decided, marked = first, second
		case first == 1:
			unfit[places[place-1]] = order.ErrNotFound
		default:
			unfit[places[place-1]] = order.ErrContradiction
		}
		return nil
	}, restoreOutcomesSQL, group, messages, ids, statuses, reasons, times, messageTimes)
	return decided, marked, unfit, err
}

// Verify implements rebuild.Store: each order has its items.
func (r *Restorer) Verify(ctx context.Context) (wrong []string, err error) {
	var count int64
	err = postgres.ForEach(ctx, r.db, []any{&count}, func() error {
		if count > 0 {
			wrong = append(wrong, fmt.Sprintf("%d orders have no items", count))
		}
		return nil
	}, `SELECT count(*) FROM orders o WHERE NOT EXISTS (SELECT FROM order_items i WHERE i.order_id = o.order_id)`)
	return wrong, err
}
