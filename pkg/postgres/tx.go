package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// Beginner is a *pgxpool.Pool or a *pgx.Conn.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

const (
	txAttempts      = 3
	txPause         = 20 * time.Millisecond
	rollbackTimeout = 5 * time.Second
)

// InTx runs f in a transaction and commits it if f returns nil. When Postgres asks to
// try again (serialization failure, deadlock) it does so, three times in all: f must
// have no effect but on the transaction.
func InTx(ctx context.Context, db Beginner, f func(tx pgx.Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := inTx(ctx, db, f)
		if err == nil || attempt == txAttempts || !isConflict(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, context.Cause(ctx))
		case <-time.After(time.Duration(attempt) * (txPause/2 + rand.N(txPause))):
		}
	}
}

func inTx(ctx context.Context, db Beginner, f func(tx pgx.Tx) error) error {
	tx, err := db.Begin(ctx)
	if err != nil {
		return fmt.Errorf("begin transaction: %w", err)
	}
	committed := false
	defer func() {
		if committed {
			return
		}
		// Also after a panic of f, and when ctx has ended: the connection goes back
		// to the pool only when the rollback is through.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = tx.Rollback(ctx)
	}()
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	committed = true
	return nil
}

// ForEach runs a statement in a transaction of its own and calls f for each row that it
// returns, with the row in scans. On a pgx.Tx the transaction is a savepoint: a statement
// that fails leaves the outer one as it was. It is not tried again.
func ForEach(ctx context.Context, db Beginner, scans []any, f func() error, sql string, args ...any) error {
	return inTx(ctx, db, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, scans, f)
		return err
	})
}
