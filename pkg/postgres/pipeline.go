package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// InPipeline runs a transaction in two round trips, where begin, statements and
// commit one by one take four or more: BEGIN travels with what first queues, COMMIT
// with what last queues. last is called when the results of first have been read, may
// queue nothing, and rolls back by returning an error. Neither is called twice: a
// deadlock is the caller's to try again.
//
// committing is the context of the second round trip, for a caller that has done
// something outside of the database meanwhile which must be recorded even if ctx is
// over; nil: ctx.
//
// written, if not nil, is called when everything is written and nothing is committed; its
// error rolls back. COMMIT then is a round trip of its own.
func InPipeline(ctx, committing context.Context, pool *pgxpool.Pool, first, last func(b *pgx.Batch) error, written func() error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release() // closes a connection that is left inside of a transaction
	rollback := func(cause error) error {
		if conn.Conn().IsClosed() {
			return cause
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_, _ = conn.Exec(ctx, "ROLLBACK") // if it fails, Release closes the connection, which does the same
		return cause
	}
	opening := &pgx.Batch{}
	opening.Queue("BEGIN")
	if err := first(opening); err != nil {
		return err
	}
	if err := conn.SendBatch(ctx, opening).Close(); err != nil {
		return rollback(err)
	}
	closing := &pgx.Batch{}
	if err := last(closing); err != nil {
		return rollback(err)
	}
	if committing == nil {
		committing = ctx
	}
	if written != nil {
		if err := conn.SendBatch(committing, closing).Close(); err != nil {
			return rollback(err)
		}
		if err := written(); err != nil {
			return rollback(err)
		}
		closing = &pgx.Batch{}
	}
	closing.Queue("COMMIT").Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != "COMMIT" { // Postgres answers ROLLBACK when the transaction had failed before
			return errors.New("the transaction could not be committed")
		}
		return nil
	})
	if err := conn.SendBatch(committing, closing).Close(); err != nil {
		return rollback(err)
	}
	return nil
}
