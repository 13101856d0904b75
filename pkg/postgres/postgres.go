// Package postgres opens a service's database, migrates it, runs transactions and
// sorts its errors into those that pass and those that stay.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/exaring/otelpgx"
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

// DefaultMaxConns bounds the pool where the configuration does not.
const DefaultMaxConns = 8

// Validate names the variable that is wrong and what is allowed.
func (c Config) Validate() error {
	if c.URL == "" {
		return errors.New("DATABASE_URL is not set, want postgres://user:password@host:port/database")
	}
	// The value stays out of the errors: it holds the password.
	u, err := url.Parse(c.URL)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || u.Host == "" {
		return errors.New("DATABASE_URL is no URL like postgres://user:password@host:port/database")
	}
	if _, err := pgxpool.ParseConfig(c.URL); err != nil {
		return fmt.Errorf("DATABASE_URL: %w", err)
	}
	if c.MaxConns < 0 || c.MaxConns > 1000 {
		return fmt.Errorf("DATABASE_MAX_CONNS is %d, want 1 to 1000", c.MaxConns)
	}
	return nil
}

// Options are what a pool reports to; nil fields report nowhere.
type Options struct {
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	Registerer     prometheus.Registerer
}

const (
	connectTimeout = 5 * time.Second
	firstPause     = 100 * time.Millisecond
	longestPause   = 2 * time.Second
)

// Open returns a pool, once the database answers. While it does not, Open waits, with
// growing pauses, until ctx ends.
func Open(ctx context.Context, c Config, o Options) (*pgxpool.Pool, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(c.URL)
	if err != nil {
		return nil, err
	}
	config.MaxConns = c.MaxConns
	if config.MaxConns == 0 {
		config.MaxConns = DefaultMaxConns
	}
	config.ConnConfig.ConnectTimeout = connectTimeout
	if o.TracerProvider != nil {
		config.ConnConfig.Tracer = otelpgx.NewTracer(
			otelpgx.WithTracerProvider(o.TracerProvider),
			otelpgx.WithDisableAcquireTracer(),
		)
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	if err := waitFor(ctx, pool, o.Logger); err != nil {
		pool.Close()
		return nil, fmt.Errorf("wait for database %s at %s: %w",
			config.ConnConfig.Database, config.ConnConfig.Host, err)
	}
	registerPool(o.Registerer, pool)
	return pool, nil
}

// waitFor pings until the database answers. A wrong password and an absent database
// are waited for too: whoever provisions them may still be at it.
func waitFor(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	pause := firstPause
	for {
		err := pool.Ping(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		log.WarnContext(ctx, "database does not answer yet", "error", err, "next_try", pause)
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(pause/2 + rand.N(pause)):
		}
		pause = min(2*pause, longestPause)
	}
}
