package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"regexp"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// Migrations is a set of goose migrations with a version table of its own
// (goose_NAME), so that the sets of a database do not share their numbers.
type Migrations struct {
	// Name is a short lower-case word: "order", "outbox".
	Name string
	FS   fs.FS
	// Dir is the folder of the .sql files within FS; empty: its root.
	Dir string
}

var migrationsName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,40}$`)

// Migrate applies what is missing of each set, in the order given. Instances that
// start at the same time wait for one another.
func Migrate(ctx context.Context, pool *pgxpool.Pool, sets ...Migrations) error {
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	for _, set := range sets {
		if err := set.apply(ctx, db); err != nil {
			return fmt.Errorf("migrate %s: %w", set.Name, err)
		}
	}
	return nil
}

// Pending tells whether Migrate would change anything. It changes nothing itself.
func Pending(ctx context.Context, pool *pgxpool.Pool, sets ...Migrations) (bool, error) {
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	for _, set := range sets {
		provider, err := set.provider(db)
		if err != nil {
			return false, fmt.Errorf("migrations %s: %w", set.Name, err)
		}
		var begun bool
		if err := pool.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, "goose_"+set.Name).Scan(&begun); err != nil {
			return false, err
		}
		if !begun { // goose would make its table
			return true, nil
		}
		if pending, err := provider.HasPending(ctx); err != nil || pending {
			return pending, err
		}
	}
	return false, nil
}

func (m Migrations) apply(ctx context.Context, db *sql.DB) error {
	provider, err := m.provider(db)
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

func (m Migrations) provider(db *sql.DB) (*goose.Provider, error) {
	if !migrationsName.MatchString(m.Name) {
		return nil, fmt.Errorf("name %q, want a lower-case word", m.Name)
	}
	files := m.FS
	if m.Dir != "" {
		sub, err := fs.Sub(m.FS, m.Dir)
		if err != nil {
			return nil, err
		}
		files = sub
	}
	return goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithTableName("goose_"+m.Name),
		goose.WithLogger(goose.NopLogger()),
		goose.WithDisableGlobalRegistry(true),
		goose.WithSessionLocker(advisoryLock(lockKey("migrate:"+m.Name))))
}

// advisoryLock makes goose wait inside of Postgres: its own locker asks again every
// few seconds, which a service's start would feel.
type advisoryLock int64

func (l advisoryLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(l))
	return err
}

func (l advisoryLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	var held bool
	if err := conn.QueryRowContext(ctx, `SELECT pg_advisory_unlock($1)`, int64(l)).Scan(&held); err != nil {
		return err
	}
	if !held {
		return errors.New("the migration lock was lost")
	}
	return nil
}

// TryLock takes a lock of the database for as long as the pool's connection lives that
// holds it, or tells that somebody else has it. release gives it back.
func TryLock(ctx context.Context, pool *pgxpool.Pool, purpose string) (taken bool, release func(), err error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return false, nil, err
	}
	if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, lockKey(purpose)).Scan(&taken); err != nil || !taken {
		conn.Release()
		return false, nil, err
	}
	return true, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = conn.Hijack().Close(ctx) // gives the lock back
	}, nil
}

// lockKey makes an advisory lock's number of its purpose.
func lockKey(purpose string) int64 {
	h := fnv.New64a()
	h.Write([]byte("millrace:" + purpose))
	return int64(h.Sum64())
}
