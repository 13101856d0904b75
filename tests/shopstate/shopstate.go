// Package shopstate reads everything that a service of the shop knows, for tests that
// compare what was there before a misfortune with what is there after it.
package shopstate

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"millrace/internal/shop"
)

// queries are the state of each service. When a message was processed and a mail went
// out is not in the log; outboxes hold what is on its way, or was sent.
var queries = map[string][]string{
	shop.Inventory: {
		`SELECT * FROM stock`, `SELECT * FROM reservations`, `SELECT * FROM reservation_items`, `SELECT consumer_group, message_id FROM inbox`,
	},
	shop.Order: {
		`SELECT * FROM orders`, `SELECT * FROM order_items`, `SELECT * FROM products`, `SELECT * FROM idempotency_keys`, `SELECT consumer_group, message_id FROM inbox`,
	},
	shop.Notification: {
		`SELECT order_id, kind, recipient, message_id FROM mails`, `SELECT consumer_group, message_id FROM inbox`,
	},
}

// AdminURL is the superuser's URL of the Postgres that a shop runs on its folder.
func AdminURL(data string) (string, error) {
	state, err := shop.ReadPostgresState(filepath.Join(data, shop.PostgresStateFile))
	return state.AdminURL, err
}

// Of reads the state of a service, each row as a line of JSON, in an order that does
// not depend on when rows were written.
func Of(ctx context.Context, data, service string) (lines []string, err error) {
	conn, err := connect(ctx, data, service)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, query := range queries[service] {
		rows, err := conn.Query(ctx, `SELECT row_to_json(q)::text AS line FROM (`+query+`) AS q ORDER BY line`)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", query, err)
		}
		found, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", query, err)
		}
		lines = append(append(lines, query), found...)
	}
	return lines, nil
}

func connect(ctx context.Context, data, database string) (*pgx.Conn, error) {
	url, err := AdminURL(data)
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.Database = database
	return pgx.ConnectConfig(ctx, config)
}
