package postgres

import (
	"context"
	"fmt"
	"time"

	"millrace/pkg/postgres"
	"millrace/services/inventory"
)

// Restorer stores what the log tells of, see package rebuild. Nothing goes to the
// outbox: all of it was told before.
type Restorer struct{ db postgres.Beginner }

// NewRestorer returns a Restorer on a migrated database: on a pool, or in a transaction
// that the caller is going to undo.
func NewRestorer(db postgres.Beginner) *Restorer { return &Restorer{db} }

// adjustSQL takes the adjustments of one product, in the order of their numbers. What the
// product has had, by its number, is left out.
const adjustSQL = `
	WITH given AS (
		SELECT product_id, number, min(delta) AS delta -- copies of one number are equal
		FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS g (product_id, number, delta) GROUP BY 1, 2
	), fresh AS (
		SELECT g.product_id, g.number, g.delta, coalesce(s.adjustments, 0) AS had
		FROM given g LEFT JOIN stock s USING (product_id) WHERE g.number > coalesce(s.adjustments, 0)
	), summed AS (
		SELECT product_id, count(*) AS count, max(number) AS last, sum(delta)::bigint AS delta, min(had) AS had FROM fresh GROUP BY 1
	), stored AS (
		INSERT INTO stock (product_id, available, adjustments) SELECT product_id, greatest(delta, 0), last FROM summed
		ON CONFLICT (product_id) DO UPDATE SET adjustments = excluded.adjustments,
			available = greatest(stock.available + (SELECT delta FROM summed WHERE summed.product_id = excluded.product_id), 0)
	)
	SELECT product_id, count, last - had <> count FROM summed`

// Adjust implements rebuild.Store.
func (r *Restorer) Adjust(ctx context.Context, adjustments []inventory.Adjustment) (applied int64, incomplete []string, err error) {
	products, numbers, deltas := make([]string, len(adjustments)), make([]int64, len(adjustments)), make([]int64, len(adjustments))
	for i, a := range adjustments {
		products[i], numbers[i], deltas[i] = a.ProductID, a.Number, a.Delta
	}
	var (
		product string
		count   int64
		lacks   bool
	)
	err = postgres.ForEach(ctx, r.db, []any{&product, &count, &lacks}, func() error {
		applied += count
		if lacks {
			incomplete = append(incomplete, product)
		}
		return nil
	}, adjustSQL, products, numbers, deltas)
	return applied, incomplete, err
}

// restoreSQL is one statement: a reservation is there with its items and its stock is
// taken, or none of it. The parts see the tables as they were before it.
const restoreSQL = `
	WITH stored AS (
		INSERT INTO reservations (order_id, customer_id, status, decided_at, reason, product_id, wanted, available)
		SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::bigint[], $8::bigint[])
		ON CONFLICT DO NOTHING RETURNING order_id, status
	), lines AS (
		SELECT i.* FROM unnest($9::text[], $10::text[], $11::bigint[]) AS i (order_id, product_id, quantity) JOIN stored USING (order_id)
	), asked AS (
		INSERT INTO reservation_items (order_id, product_id, quantity) SELECT * FROM lines
	), taken AS (
		SELECT l.product_id, sum(l.quantity)::bigint AS quantity FROM lines l GROUP BY 1 -- refusals come without lines
	), moved AS (
		INSERT INTO stock (product_id, available, reserved) SELECT product_id, 0, quantity FROM taken
		ON CONFLICT (product_id) DO UPDATE SET reserved = stock.reserved + excluded.reserved,
			available = greatest(stock.available - excluded.reserved, 0)
	)
	SELECT '', count(*) FILTER (WHERE status = 'RESERVED'), count(*) FILTER (WHERE status = 'REJECTED') FROM stored
	UNION ALL
	SELECT t.product_id, t.quantity - coalesce(s.available, 0), 0 FROM taken t LEFT JOIN stock s USING (product_id)
	WHERE t.quantity > coalesce(s.available, 0)`

// Restore implements rebuild.Store.
func (r *Restorer) Restore(ctx context.Context, decided []inventory.Reservation) (reserved, refused int64, short []inventory.Shortage, err error) {
	n := len(decided)
	ids, customers, statuses, times := make([]string, n), make([]string, n), make([]string, n), make([]time.Time, n)
	reasons, products, wanted, available := make([]string, n), make([]string, n), make([]int64, n), make([]int64, n)
	var lines columnsOfLines
	for i, d := range decided {
		refusal := inventory.Refusal{}
		if d.Refusal != nil {
			refusal = *d.Refusal
		} else {
			lines.add(d.OrderID, d.Lines)
		}
		ids[i], customers[i], statuses[i], times[i] = d.OrderID, d.CustomerID, string(d.Status()), d.DecidedAt
		reasons[i], products[i], wanted[i], available[i] = string(refusal.Reason), refusal.ProductID, refusal.Wanted, refusal.Available
	}
	var (
		product       string
		first, second int64
	)
	err = postgres.ForEach(ctx, r.db, []any{&product, &first, &second}, func() error {
		if product == "" {
			reserved, refused = first, second
		} else {
			short = append(short, inventory.Shortage{ProductID: product, Missing: first})
		}
		return nil
	}, restoreSQL, ids, customers, statuses, times, reasons, products, wanted, available, lines.orders, lines.products, lines.quantities)
	return reserved, refused, short, err
}

// columnsOfLines are lines of several orders, column by column.
type columnsOfLines struct {
	orders, products []string
	quantities       []int64
}

func (c *columnsOfLines) add(orderID string, lines []inventory.Line) {
	for _, line := range lines {
		c.orders = append(c.orders, orderID)
		c.products = append(c.products, line.ProductID)
		c.quantities = append(c.quantities, line.Quantity)
	}
}

// markSQL completes refused orders by what was asked for, since INVENTORY_REJECTED tells of
// one line alone, and marks messages. A message that is not to be marked comes as NULL.
const markSQL = `
	WITH decided AS (
		SELECT order_id, status FROM reservations WHERE order_id = ANY ($2)
	), marked AS (
		INSERT INTO inbox (consumer_group, message_id, processed_at)
		SELECT $1, m.message_id, m.at FROM unnest($2::text[], $3::text[], $4::timestamptz[]) AS m (order_id, message_id, at)
		JOIN decided USING (order_id) WHERE m.message_id IS NOT NULL
		ON CONFLICT DO NOTHING RETURNING message_id
	), asked AS (
		INSERT INTO reservation_items (order_id, product_id, quantity)
		SELECT i.* FROM unnest($5::text[], $6::text[], $7::bigint[]) AS i (order_id, product_id, quantity)
		JOIN decided d USING (order_id)
		WHERE d.status = 'REJECTED' AND NOT EXISTS (SELECT FROM reservation_items have WHERE have.order_id = i.order_id)
		ON CONFLICT DO NOTHING
	)
	SELECT order_id, (SELECT count(*) FROM marked) FROM decided`

// Mark implements rebuild.Store.
func (r *Restorer) Mark(ctx context.Context, group string, orders []inventory.Dealt) (decided map[string]bool, marked int64, err error) {
	ids, messages, times := make([]string, len(orders)), make([]*string, len(orders)), make([]time.Time, len(orders))
	var lines columnsOfLines
	seen := make(map[string]bool, len(orders))
	for i, o := range orders {
		ids[i], times[i] = o.OrderID, o.At
		if !o.Unfinished {
			messages[i] = &o.MessageID
		}
		if !seen[o.OrderID] {
			seen[o.OrderID] = true
			lines.add(o.OrderID, o.Lines)
		}
	}
	decided = make(map[string]bool, len(orders))
	var id string
	err = postgres.ForEach(ctx, r.db, []any{&id, &marked}, func() error {
		decided[id] = true
		return nil
	}, markSQL, group, ids, messages, times, lines.orders, lines.products, lines.quantities)
	return decided, marked, err
}

// Verify implements rebuild.Store: what is reserved is the sum of the reservations, and
// each of them says what was asked for.
func (r *Restorer) Verify(ctx context.Context) ([]string, error) {
	var wrong []string
	for sql, text := range map[string]string{
		`SELECT coalesce(s.product_id, r.product_id), coalesce(s.reserved, 0), coalesce(r.sum, 0)::bigint FROM stock s FULL JOIN (
			SELECT i.product_id, sum(i.quantity) FROM reservation_items i JOIN reservations USING (order_id) WHERE status = 'RESERVED' GROUP BY 1
		) r USING (product_id) WHERE coalesce(s.reserved, 0) <> coalesce(r.sum, 0)`: "%s: the stock says that %d are reserved, the reservations add up to %d",
		`SELECT r.status, count(*), 0::bigint FROM reservations r WHERE NOT EXISTS (SELECT FROM reservation_items i WHERE i.order_id = r.order_id)
			GROUP BY 1`: "%s: %d decisions do not say what was asked for: their orders are not in the log (%d)",
	} {
		var (
			name          string
			first, second int64
		)
		if err := postgres.ForEach(ctx, r.db, []any{&name, &first, &second}, func() error {
			wrong = append(wrong, fmt.Sprintf(text, name, first, second))
			return nil
		}, sql); err != nil {
			return nil, err
		}
	}
	return wrong, nil
}
