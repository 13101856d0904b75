// Package inbox makes the effect of a message happen once, however often the
// message is delivered: the consumer inserts (group, message id) in the same
// transaction as the effect. A second delivery finds the row and does nothing.
package inbox

import (
	"context"
	"embed"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"millrace/pkg/postgres"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations creates the table inbox.
var Migrations = postgres.Migrations{Name: "inbox", FS: files, Dir: "migrations"}

// Execer is a pgx.Tx, or what wraps one.
type Execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Insert records a message in the caller's transaction and returns whether it is
// new. When it is not, the caller returns without any effect. While another
// transaction with the same message is under way, Insert waits for its end.
func Insert(ctx context.Context, tx Execer, group, messageID string) (isNew bool, err error) {
	tag, err := tx.Exec(ctx, insertSQL, group, messageID)
	if err != nil {
		return false, err
	}
	return tag.RowsAffected() == 1, nil
}

// Queue adds the insertion to a batch, to save a round trip; isNew is called with
// the result when the batch's results are read.
func Queue(b *pgx.Batch, group, messageID string, isNew func(bool)) {
	b.Queue(insertSQL, group, messageID).Exec(func(tag pgconn.CommandTag) error {
		isNew(tag.RowsAffected() == 1)
		return nil
	})
}

const insertSQL = `INSERT INTO inbox (consumer_group, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`

// Cleanup deletes rows older than keep and returns how many. keep must be longer than
// a message may take to come again; the topics themselves are never cleaned.
func Cleanup(ctx context.Context, tx Execer, keep time.Duration) (int64, error) {
	tag, err := tx.Exec(ctx, `DELETE FROM inbox WHERE processed_at < now() - make_interval(secs => $1)`, keep.Seconds())
	if err != nil {
		return 0, err
	}
	return tag.RowsAffected(), nil
}
