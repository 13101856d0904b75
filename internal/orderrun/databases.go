package orderrun

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"millrace/pkg/events"
)

// databases are the services' databases, each seen as the service's own role. A pool
// connects again when Postgres was away.
type databases struct{ order, inventory, notification *pgxpool.Pool }

func openDatabases(ctx context.Context, c Config) (*databases, error) {
	d := &databases{}
	for url, pool := range map[string]**pgxpool.Pool{c.OrderDatabase: &d.order, c.InventoryDatabase: &d.inventory, c.MailsDatabase: &d.notification} {
		config, err := pgxpool.ParseConfig(url)
		if err == nil {
			config.MaxConns = 1 // one goroutine asks
			*pool, err = pgxpool.NewWithConfig(ctx, config)
		}
		if err != nil {
			d.close()
			return nil, fmt.Errorf("look into a database: %w", err)
		}
	}
	return d, nil
}

func (d *databases) close() {
	for _, pool := range []*pgxpool.Pool{d.order, d.inventory, d.notification} {
		if pool != nil {
			pool.Close()
		}
	}
}

// ofRun is the condition for orders whose customer belongs to run $1; an empty
// run means all orders.
const ofRun = `($1 = '' OR customer_id LIKE '%-' || $1)`

// pending counts orders of a run without an outcome.
func (d *databases) pending(ctx context.Context, run string) (n int, err error) {
	err = d.order.QueryRow(ctx, `SELECT count(*) FROM orders WHERE status = 'PENDING' AND `+ofRun, run).Scan(&n)
	return n, err
}

// mails counts the mails that were sent about orders.
func (d *databases) mails(ctx context.Context, ids []string) (n int, err error) {
	err = d.notification.QueryRow(ctx, `SELECT count(*) FROM mails WHERE order_id = ANY ($1)`, ids).Scan(&n)
	return n, err
}

// sentMails reads which mails were sent about orders: order → kind → how many.
func (d *databases) sentMails(ctx context.Context, ids []string) (map[string]map[string]int, error) {
	rows, err := d.notification.Query(ctx, `SELECT order_id, kind FROM mails WHERE order_id = ANY ($1)`, ids)
	if err != nil {
		return nil, err
	}
	sent := map[string]map[string]int{}
	var order, kind string
	_, err = pgx.ForEachRow(rows, []any{&order, &kind}, func() error {
		if sent[order] == nil {
			sent[order] = map[string]int{}
		}
		sent[order][kind]++
		return nil
	})
	return sent, err
}

// storedOrder is a row of the order service.
type storedOrder struct{ ID, CustomerID, Status string }

// ordersOf reads all orders whose customer belongs to a run.
func (d *databases) ordersOf(ctx context.Context, run string) ([]storedOrder, error) {
	rows, err := d.order.Query(ctx, `SELECT order_id::text, customer_id, status FROM orders WHERE `+ofRun, run)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[storedOrder])
}

// reservations reads what inventory decided, by order: RESERVED or REJECTED.
func (d *databases) reservations(ctx context.Context, ids []string) (map[string]string, error) {
	return pairs(ctx, d.inventory, `SELECT order_id, status FROM reservations WHERE order_id = ANY ($1)`, ids)
}

func pairs(ctx context.Context, pool *pgxpool.Pool, sql string, args ...any) (map[string]string, error) {
	rows, err := pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	m := map[string]string{}
	var key, value string
	_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error {
		m[key] = value
		return nil
	})
	return m, err
}

// stockRow compares what stock says with what the reservations add up to.
type stockRow struct {
	Product                       string
	Available, Reserved, ByOrders int64
}

// stock reads all products. ByOrders is the sum of all reservations there ever were.
func (d *databases) stock(ctx context.Context) ([]stockRow, error) {
	rows, err := d.inventory.Query(ctx, `SELECT s.product_id, s.available, s.reserved, coalesce(r.sum, 0)::bigint
		FROM stock s LEFT JOIN (
			SELECT i.product_id, sum(i.quantity) FROM reservation_items i JOIN reservations USING (order_id)
			WHERE status = 'RESERVED' GROUP BY i.product_id
		) r USING (product_id)`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[stockRow])
}

// unprocessed counts messages that a group's inbox does not know.
func (d *databases) unprocessed(ctx context.Context, group string, messages []string) (n int, err error) {
	pool := map[string]*pgxpool.Pool{events.GroupOrder: d.order, events.GroupInventory: d.inventory, events.GroupNotification: d.notification}[group]
	err = pool.QueryRow(ctx, `SELECT count(*) FROM unnest($1::text[]) AS m (id)
		WHERE NOT EXISTS (SELECT FROM inbox WHERE consumer_group = $2 AND message_id = m.id)`, messages, group).Scan(&n)
	return n, err
}
