// Package postgres keeps orders in Postgres.
//
// An order, its items, its event in the outbox and its Idempotency-Key are one
// transaction and one round trip: a pipelined batch without BEGIN is one implicit
// transaction, all of it or none (PostgreSQL manual, "Pipelining" in section 55.2).
package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/messaging/inbox"
	"millrace/pkg/messaging/outbox"
	"millrace/pkg/messaging/parking"
	"millrace/pkg/postgres"
	"millrace/services/order"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations returns everything that the database of this service needs.
func Migrations() []postgres.Migrations {
	return []postgres.Migrations{
		outbox.Migrations, inbox.Migrations, parking.Migrations,
		{Name: "orders", FS: files, Dir: "migrations"},
	}
}

// catalogueAge is how old the copy of the products may be that orders are priced by.
const catalogueAge = 10 * time.Second

// Outbox stores a message in the transaction of a batch, to be sent after it; outbox.Writer does.
type Outbox interface {
	Queue(ctx context.Context, b *pgx.Batch, m outbox.Message) error
}

// Store is an order.Store. It is safe for concurrent use.
type Store struct {
	pool   *pgxpool.Pool
	outbox Outbox
	faults *fault.Set
	now    func() time.Time

	mu        sync.Mutex // guards the two below; held while one caller reads anew
	catalogue order.Catalogue
	readAt    time.Time
}

// NewStore returns a Store on a migrated database. faults may be nil.
func NewStore(pool *pgxpool.Pool, w Outbox, faults *fault.Set, now func() time.Time) *Store {
	return &Store{pool: pool, outbox: w, faults: faults, now: now}
}

// Catalogue returns the products, at most catalogueAge old.
func (s *Store) Catalogue(ctx context.Context) (order.Catalogue, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.catalogue != nil && s.now().Sub(s.readAt) < catalogueAge {
		return s.catalogue, nil
	}
	rows, err := s.pool.Query(ctx, `SELECT product_id, name, price FROM products`)
	if err != nil {
		return nil, fmt.Errorf("read products: %w", err)
	}
	products, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p order.Product, err error) {
		return p, row.Scan(&p.ID, &p.Name, &p.Price)
	})
	if err != nil {
		return nil, fmt.Errorf("read products: %w", err)
	}
	s.catalogue, s.readAt = order.NewCatalogue(products), s.now()
	return s.catalogue, nil
}

// Insert implements order.Store.
func (s *Store) Insert(ctx context.Context, o order.Order, key order.Key) (order.Order, error) {
	message, err := outbox.EventMessage(o.Created())
	if err != nil {
		return order.Order{}, fmt.Errorf("event of order %s: %w", o.ID, err)
	}
	maps.Copy(message.Headers, o.Headers(key))
	batch := &pgx.Batch{}
	if key.Value != "" {
		// First, so that a second request with the key waits here for the first one's
		// end, and then fails before it has done anything.
		batch.Queue(`INSERT INTO idempotency_keys (key, fingerprint, order_id, created_at) VALUES ($1, $2, $3, $4)`,
			key.Hash(), key.Fingerprint[:], o.ID, o.CreatedAt)
	}
	products, quantities, prices := columns(o.Items)
	batch.Queue(`
		WITH placed AS (
			INSERT INTO orders (order_id, customer_id, status, total, trace_id, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)
		)
		INSERT INTO order_items (order_id, line, product_id, quantity, unit_price)
		SELECT $1, i.line, i.product_id, i.quantity, i.unit_price
		FROM unnest($7::text[], $8::bigint[], $9::bigint[]) WITH ORDINALITY AS i (product_id, quantity, unit_price, line)`,
		o.ID, o.CustomerID, o.Status, int64(o.Total), o.TraceID, o.CreatedAt, products, quantities, prices)
	if err := s.outbox.Queue(ctx, batch, message); err != nil {
		return order.Order{}, fmt.Errorf("event of order %s: %w", o.ID, err)
	}
	if err := s.faults.HitOrder(ctx, fault.OrderBeforeCommit, "", o.ID, products...); err != nil {
		return order.Order{}, err
	}
	switch err := s.pool.SendBatch(ctx, batch).Close(); {
	case err == nil:
		return o, s.faults.HitOrder(ctx, fault.OrderAfterCommit, "", o.ID, products...)
	case key.Value != "" && postgres.IsUniqueViolation(err, "idempotency_keys_pkey"):
		return s.placedUnder(ctx, key)
	default:
		return order.Order{}, fmt.Errorf("store order %s: %w", o.ID, err)
	}
}

func columns(items []order.Item) (products []string, quantities, prices []int64) {
	products, quantities, prices = make([]string, len(items)), make([]int64, len(items)), make([]int64, len(items))
	for i, item := range items {
		products[i], quantities[i], prices[i] = item.ProductID, item.Quantity, int64(item.UnitPrice)
	}
	return products, quantities, prices
}

// placedUnder returns the order that was placed under a key, as it was then.
func (s *Store) placedUnder(ctx context.Context, key order.Key) (order.Order, error) {
	var (
		fingerprint []byte
		id          string
	)
	err := s.pool.QueryRow(ctx, `SELECT fingerprint, order_id::text FROM idempotency_keys WHERE key = $1`, key.Hash()).Scan(&fingerprint, &id)
	if err != nil {
		return order.Order{}, fmt.Errorf("read idempotency key: %w", err)
	}
	if string(fingerprint) != string(key.Fingerprint[:]) {
		return order.Order{}, order.ErrKeyReused
	}
	o, err := s.Order(ctx, id)
	if err != nil {
		return order.Order{}, err
	}
	return o.AsPlaced(), nil
}

// ForgetKeys deletes idempotency keys that are older than keep and returns how many.
func (s *Store) ForgetKeys(ctx context.Context, keep time.Duration) (int64, error) {
	tag, err := s.pool.Exec(ctx, `DELETE FROM idempotency_keys WHERE created_at < $1`, s.now().Add(-keep))
	if err != nil {
		return 0, fmt.Errorf("delete idempotency keys: %w", err)
	}
	return tag.RowsAffected(), nil
}

// wellFormedID tells whether an id can be one of ours: a UUID in its usual form. The
// others that the library takes (in braces, as a URN) Postgres may not.
func wellFormedID(id string) bool { return len(id) == 36 && uuid.Validate(id) == nil }

// Order implements order.Store.
func (s *Store) Order(ctx context.Context, id string) (order.Order, error) {
	if !wellFormedID(id) {
		return order.Order{}, order.ErrNotFound
	}
	orders, err := s.query(ctx, `WHERE order_id = $1`, id)
	switch {
	case err != nil:
		return order.Order{}, fmt.Errorf("read order %s: %w", id, err)
	case len(orders) == 0:
		return order.Order{}, order.ErrNotFound
	}
	return orders[0], nil
}

// List implements order.Store.
func (s *Store) List(ctx context.Context, f order.Filter) ([]order.Order, error) {
	var (
		where []string
		args  []any
	)
	condition := func(sql string, arg any) {
		args = append(args, arg)
		where = append(where, sql+"$"+strconv.Itoa(len(args)))
	}
	if f.Status != "" {
		condition("status = ", f.Status)
	}
	if f.CustomerID != "" {
		condition("customer_id = ", f.CustomerID)
	}
	if f.Before != "" {
		condition("order_id < ", f.Before)
	}
	clause := ""
	if len(where) > 0 {
		clause = "WHERE " + strings.Join(where, " AND ")
	}
	args = append(args, f.Limit)
	orders, err := s.query(ctx, clause+" ORDER BY order_id DESC LIMIT $"+strconv.Itoa(len(args)), args...)
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	return orders, nil
}

// query reads the orders that a clause picks together with their items, newest first.
func (s *Store) query(ctx context.Context, clause string, args ...any) ([]order.Order, error) {
	rows, err := s.pool.Query(ctx, `
		SELECT o.order_id::text, o.customer_id, o.status, o.reason, o.total, o.trace_id, o.created_at, o.updated_at,
		       i.product_id, i.quantity, i.unit_price
		FROM (SELECT * FROM orders `+clause+`) AS o JOIN order_items AS i USING (order_id)
		ORDER BY o.order_id DESC, i.line`, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var orders []order.Order
	for rows.Next() {
		var (
			o           order.Order
			item        order.Item
			total, unit int64
		)
		if err := rows.Scan(&o.ID, &o.CustomerID, &o.Status, &o.Reason, &total, &o.TraceID, &o.CreatedAt, &o.UpdatedAt,
			&item.ProductID, &item.Quantity, &unit); err != nil {
			return nil, err
		}
		o.Total, item.UnitPrice = events.Money(total), events.Money(unit)
		if n := len(orders); n == 0 || orders[n-1].ID != o.ID {
			orders = append(orders, o)
		}
		last := &orders[len(orders)-1]
		last.Items = append(last.Items, item)
	}
	return orders, rows.Err()
}

// decideSQL is all of Decide in one statement, hence one transaction and one round
// trip. Its parts see the tables as they were before it; an UPDATE that had to wait
// for another one looks at its condition again. The message is marked as done only
// if the outcome fits: what does not can be redriven when the cause is gone. The time
// of the change is the event's own, so that it is the same each time that the orders are
// built anew from the log; a clock that is behind must not put it before the order.
const decideSQL = `
	WITH decided AS (
		UPDATE orders SET status = $4, reason = $5, updated_at = greatest(created_at, $6)
		WHERE order_id = $3 AND status = 'PENDING' RETURNING order_id
	), marked AS (
		INSERT INTO inbox (consumer_group, message_id)
		SELECT $1, $2 FROM orders WHERE order_id = $3 AND status IN ('PENDING', $4) ON CONFLICT DO NOTHING
	)
	SELECT status, EXISTS (SELECT FROM decided) FROM orders WHERE order_id = $3`

// Decide records an outcome once per message. It returns whether the order changed:
// a message or an outcome that came before changes nothing.
func (s *Store) Decide(ctx context.Context, group, messageID string, outcome order.Outcome) (changed bool, err error) {
	if !wellFormedID(outcome.OrderID) {
		return false, order.ErrNotFound
	}
	if !outcome.Status.Final() {
		return false, order.ErrNotAnOutcome
	}
	if err := s.faults.HitOrder(ctx, fault.EffectBeforeCommit, group, outcome.OrderID); err != nil {
		return false, err
	}
	var before order.Status
	err = s.pool.QueryRow(ctx, decideSQL, group, messageID, outcome.OrderID, outcome.Status, outcome.Reason, outcome.At.UTC()).Scan(&before, &changed)
	if err == nil && !changed {
		if before == order.Pending { // another outcome was recorded at the same moment
			err = s.pool.QueryRow(ctx, `SELECT status FROM orders WHERE order_id = $1`, outcome.OrderID).Scan(&before)
		}
		if err == nil {
			_, _, err = before.Next(outcome.Status)
		}
	}
	if errors.Is(err, pgx.ErrNoRows) {
		err = order.ErrNotFound
	}
	if err != nil {
		return false, fmt.Errorf("record %s for order %s: %w", outcome.Status, outcome.OrderID, err)
	}
	if changed {
		err = s.faults.HitOrder(ctx, fault.EffectAfterCommit, group, outcome.OrderID)
	}
	return changed && err == nil, err
}
