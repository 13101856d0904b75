// Package postgres opens a service's database, migrates it, runs transactions and
// sorts its errors into those that pass and those that stay.
package postgres

import (
	"context"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// Config is how to reach the database. The tags are those of caarlos0/env.
type Config struct {
	// URL is postgres://user:password@host:port/database.
	URL string `env:"DATABASE_URL"`
	// MaxConns bounds the pool.
	MaxConns int32 `env:"DATABASE_MAX_CONNS" envDefault:"8"`
}

// Validate names the variable that is wrong and what is allowed.
func (c Config) Validate() error { return nil }

// Options are what a pool reports to; nil fields report nowhere.
type Options struct {
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	Registerer     prometheus.Registerer
}

// Open returns a pool, once the database answers. While it does not, Open waits, with
// growing pauses, until ctx ends.
func Open(ctx context.Context, c Config, o Options) (*pgxpool.Pool, error) {
	return pgxpool.New(ctx, c.URL)
}

// Migrations is a set of goose migrations with a version table of its own
// (goose_NAME), so that the sets of a database do not share their numbers.
type Migrations struct {
	// Name is a short lower-case word: "order", "outbox".
	Name string
	FS   fs.FS
	// Dir is the folder of the .sql files within FS; empty: its root.
	Dir string
}

// Migrate applies what is missing of each set, in the order given. Instances that
// start at the same time wait for one another.
func Migrate(ctx context.Context, pool *pgxpool.Pool, sets ...Migrations) error { return nil }

// Beginner is a *pgxpool.Pool or a *pgx.Conn.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// InTx runs f in a transaction and commits it if f returns nil. When Postgres asks to
// try again (serialization failure, deadlock) it does so, three times in all: f must
// have no effect but on the transaction.
func InTx(ctx context.Context, db Beginner, f func(tx pgx.Tx) error) error { return nil }

// IsTransient tells whether the same statement may work later: the connection broke,
// the server is starting or full, a lock or a serialization was in the way.
func IsTransient(err error) bool { return false }

// IsUniqueViolation tells whether err is the breach of the named unique constraint;
// an empty name means any.
func IsUniqueViolation(err error, constraint string) bool { return false }

// Provision makes sure that the database and the role exist, that the role owns the
// database and has the password, and that no other role may connect to it. It returns
// the URL for the role.
func Provision(ctx context.Context, adminURL, database, role, password string) (string, error) {
	return "", nil
}
