// Package postgres keeps stock and reservations in Postgres.
//
// A decision is one transaction: inbox row, stock rows, reservation and the event
// in the outbox. The rows of all products of an order are locked in the order of
// their ids before anything is decided, so stock cannot change under a decision
// and two orders cannot wait for each other.
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/messaging/inbox"
	"millrace/pkg/messaging/outbox"
	"millrace/pkg/messaging/parking"
	"millrace/pkg/postgres"
	"millrace/services/inventory"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations returns everything that the database of this service needs.
func Migrations() []postgres.Migrations {
	return []postgres.Migrations{
		outbox.Migrations, inbox.Migrations, parking.Migrations,
		{Name: "stock", FS: files, Dir: "migrations"},
	}
}

// Store keeps stock and reservations. It is safe for concurrent use.
type Store struct {
	pool   *pgxpool.Pool
	outbox *outbox.Writer
	faults *fault.Set
	now    func() time.Time
}

// NewStore returns a Store on a migrated database. faults may be nil.
func NewStore(pool *pgxpool.Pool, w *outbox.Writer, faults *fault.Set, now func() time.Time) *Store {
	return &Store{pool: pool, outbox: w, faults: faults, now: now}
}

// Reserve decides about an order once, and stores the event of the decision. made is
// false when the message was processed before, or the order decided on by another
// message: then nothing was changed.
func (s *Store) Reserve(ctx context.Context, group, messageID string, order events.OrderCreated) (r inventory.Reservation, made bool, err error) {
	lines := inventory.Demand(order.Items)
	products, quantities := columns(lines)
	var (
		isNew, decided bool
		available      = make(map[string]int64, len(lines))
	)
	var written func() error // costs a round trip
	if s.faults.Enabled() {
		written = func() error {
			if !made {
				return nil
			}
			return s.faults.HitOrder(ctx, fault.EffectBeforeCommit, group, order.OrderID, products...)
		}
	}
	err = postgres.InPipeline(ctx, nil, s.pool, func(b *pgx.Batch) error {
		b.Queue(`
			WITH new AS (
				INSERT INTO inbox (consumer_group, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING message_id
			)
			SELECT EXISTS (SELECT FROM new), EXISTS (SELECT FROM reservations WHERE order_id = $3)`, group, messageID, order.OrderID).
			QueryRow(func(row pgx.Row) error { return row.Scan(&isNew, &decided) })
		b.Queue(`SELECT product_id, available FROM stock WHERE product_id = ANY ($1) ORDER BY product_id FOR UPDATE`, products).
			Query(func(rows pgx.Rows) error {
				var (
					id string
					n  int64
				)
				_, err := pgx.ForEachRow(rows, []any{&id, &n}, func() error {
					available[id] = n
					return nil
				})
				return err
			})
		return nil
	}, func(b *pgx.Batch) error {
		if !isNew || decided {
			return nil
		}
		made = true
		r = inventory.Decide(order, lines, available, s.now())
		return s.queue(ctx, b, r, products, quantities)
	}, written)
	if err == nil && made {
		err = s.faults.HitOrder(ctx, fault.EffectAfterCommit, group, order.OrderID, products...)
	}
	if err != nil {
		return inventory.Reservation{}, false, fmt.Errorf("reserve stock for order %s: %w", order.OrderID, err)
	}
	return r, made, nil
}

// queue adds what stores a decision to a batch.
func (s *Store) queue(ctx context.Context, b *pgx.Batch, r inventory.Reservation, products []string, quantities []int64) error {
	message, err := outbox.EventMessage(r.Event())
	if err != nil {
		return err
	}
	refusal := inventory.Refusal{}
	if r.Refusal != nil {
		refusal = *r.Refusal
	}
	b.Queue(`
		WITH decided AS (
			INSERT INTO reservations (order_id, customer_id, status, decided_at, reason, product_id, wanted, available)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		), asked AS (
			INSERT INTO reservation_items (order_id, product_id, quantity)
			SELECT $1, * FROM unnest($9::text[], $10::bigint[])
		)
		UPDATE stock AS s SET available = s.available - i.quantity, reserved = s.reserved + i.quantity
		FROM unnest($9::text[], $10::bigint[]) AS i (product_id, quantity)
		WHERE s.product_id = i.product_id AND $3 = 'RESERVED'`,
		r.OrderID, r.CustomerID, r.Status(), r.DecidedAt, refusal.Reason, refusal.ProductID, refusal.Wanted, refusal.Available,
		products, quantities)
	return s.outbox.Queue(ctx, b, message)
}

func columns(lines []inventory.Line) (products []string, quantities []int64) {
	products, quantities = make([]string, len(lines)), make([]int64, len(lines))
	for i, line := range lines {
		products[i], quantities[i] = line.ProductID, line.Quantity
	}
	return products, quantities
}

// Reservation returns the decision about an order, or inventory.ErrNoReservation.
func (s *Store) Reservation(ctx context.Context, orderID string) (inventory.Reservation, error) {
	r := inventory.Reservation{OrderID: orderID}
	if !utf8.ValidString(orderID) || strings.ContainsRune(orderID, 0) { // no text to Postgres
		return r, inventory.ErrNoReservation
	}
	var (
		refusal inventory.Refusal
		lines   []inventory.Line
	)
	batch := &pgx.Batch{}
	batch.Queue(`SELECT customer_id, decided_at, reason, product_id, wanted, available FROM reservations WHERE order_id = $1`, orderID).
		QueryRow(func(row pgx.Row) error {
			return row.Scan(&r.CustomerID, &r.DecidedAt, &refusal.Reason, &refusal.ProductID, &refusal.Wanted, &refusal.Available)
		})
	batch.Queue(`SELECT product_id, quantity FROM reservation_items WHERE order_id = $1 ORDER BY product_id`, orderID).
		Query(func(rows pgx.Rows) (err error) {
			lines, err = pgx.CollectRows(rows, pgx.RowToStructByPos[inventory.Line])
			return err
		})
	switch err := s.pool.SendBatch(ctx, batch).Close(); {
	case errors.Is(err, pgx.ErrNoRows):
		return r, inventory.ErrNoReservation
	case err != nil:
		return r, fmt.Errorf("read the reservation of order %s: %w", orderID, err)
	}
	r.Lines = lines
	if refusal.Reason != "" {
		r.Refusal = &refusal
	}
	return r, nil
}

// Stock returns the stock of all products, by product id.
func (s *Store) Stock(ctx context.Context) ([]inventory.Stock, error) {
	rows, err := s.pool.Query(ctx, `SELECT product_id, available, reserved FROM stock ORDER BY product_id`)
	if err != nil {
		return nil, fmt.Errorf("read the stock: %w", err)
	}
	stock, err := pgx.CollectRows(rows, pgx.RowToStructByPos[inventory.Stock])
	if err != nil {
		return nil, fmt.Errorf("read the stock: %w", err)
	}
	return stock, nil
}

// StockOf returns the stock of one product, or inventory.ErrNoStock.
func (s *Store) StockOf(ctx context.Context, productID string) (inventory.Stock, error) {
	stock := inventory.Stock{ProductID: productID}
	if !inventory.WellFormedProductID(productID) {
		return stock, inventory.ErrNoStock
	}
	err := s.pool.QueryRow(ctx, `SELECT available, reserved FROM stock WHERE product_id = $1`, productID).
		Scan(&stock.Available, &stock.Reserved)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return stock, inventory.ErrNoStock
	case err != nil:
		return stock, fmt.Errorf("read the stock of %s: %w", productID, err)
	}
	return stock, nil
}

// SetAvailable sets how much of a product can be reserved, whatever there was
// before, and stores the event that tells of the difference, in one transaction.
// created tells that the product had no stock yet. To set what is there already
// changes nothing and tells of nothing.
func (s *Store) SetAvailable(ctx context.Context, productID string, available int64) (stock inventory.Stock, created bool, err error) {
	stock = inventory.Stock{ProductID: productID, Available: available}
	var before, adjustments int64
	err = postgres.InPipeline(ctx, nil, s.pool, func(b *pgx.Batch) error {
		b.Queue(`INSERT INTO stock (product_id, available) VALUES ($1, 0) ON CONFLICT DO NOTHING`, productID).
			Exec(func(tag pgconn.CommandTag) error {
				created = tag.RowsAffected() == 1
				return nil
			})
		b.Queue(`SELECT available, reserved, adjustments FROM stock WHERE product_id = $1 FOR UPDATE`, productID).
			QueryRow(func(row pgx.Row) error { return row.Scan(&before, &stock.Reserved, &adjustments) })
		return nil
	}, func(b *pgx.Batch) error {
		if before == available && !created {
			return nil
		}
		message, err := outbox.EventMessage(inventory.Adjustment{
			ProductID: productID, Number: adjustments + 1, Delta: available - before, Available: available, At: s.now(),
		}.Event())
		if err != nil {
			return err
		}
		b.Queue(`UPDATE stock SET available = $2, adjustments = adjustments + 1 WHERE product_id = $1`, productID, available)
		return s.outbox.Queue(ctx, b, message)
	}, nil)
	if err != nil {
		return stock, false, fmt.Errorf("set the stock of %s: %w", productID, err)
	}
	return stock, created, nil
}
