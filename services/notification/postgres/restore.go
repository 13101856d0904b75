package postgres

import (
	"context"
	"time"

	"millrace/pkg/postgres"
	"millrace/services/notification"
)

// Restorer stores what the log tells of, see package rebuild.
type Restorer struct{ db postgres.Beginner }

// NewRestorer returns a Restorer on a migrated database: on a pool, or in a transaction
// that the caller is going to undo.
func NewRestorer(db postgres.Beginner) *Restorer { return &Restorer{db} }

// Note implements rebuild.Store. When a mail went out the log does not say; the time of its
// message is the closest there is.
func (r *Restorer) Note(ctx context.Context, group string, dealt []notification.Dealt) (mails, marked int64, err error) {
	n := len(dealt)
	records, orders, kinds, recipients, ids, times := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]time.Time, n)
	for i, d := range dealt {
		records[i], orders[i], kinds[i], recipients[i], ids[i], times[i] = d.RecordID, d.OrderID, string(d.Kind), d.Recipient, d.MessageID, d.At
	}
	err = postgres.ForEach(ctx, r.db, []any{&mails, &marked}, func() error { return nil }, `
		WITH given AS (
			SELECT * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
				WITH ORDINALITY AS g (record_id, order_id, kind, recipient, message_id, at, place)
		), noted AS (
			INSERT INTO mails (order_id, kind, recipient, message_id, sent_at)
			SELECT order_id, kind, recipient, message_id, at FROM given ORDER BY place
			ON CONFLICT DO NOTHING RETURNING order_id
		), marked AS (
			INSERT INTO inbox (consumer_group, message_id, processed_at) SELECT $1, record_id, at FROM given
			ON CONFLICT DO NOTHING RETURNING message_id
		)
		SELECT (SELECT count(*) FROM noted), (SELECT count(*) FROM marked)`,
		group, records, orders, kinds, recipients, ids, times)
	return mails, marked, err
}
