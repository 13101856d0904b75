package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"millrace/pkg/messaging/replay"
	"millrace/pkg/postgres"
	"millrace/pkg/telemetry"
)

// RebuildProgram is what a service's rebuild from the log consists of.
type RebuildProgram struct {
	Group string
	// Own are the topics that the service writes itself.
	Own []string
	// NeedsProgress is set where the group's committed offsets are a part of the truth.
	NeedsProgress bool
	Config        Config
	Migrations    []postgres.Migrations
	// Restore replays into a database: a pool, or a transaction that will be undone.
	Restore func(ctx context.Context, r *replay.Replay, db postgres.Beginner) (replay.Report, error)
}

// RebuildOptions say what to rebuild.
type RebuildOptions struct {
	From      replay.From
	DryRun    bool // nothing is changed
	AllowGaps bool // go on when records are missing in the log
	Progress  func(replay.Progress)
	// Database is asked for the database once nothing speaks against the replay any
	// more; nil: the one of the configuration, which has to exist.
	Database func(ctx context.Context, dryRun bool) (RebuildDatabase, error)
}

// RebuildDatabase is the database to restore into.
type RebuildDatabase struct {
	URL  string
	Made bool // it was missing
	// Scratch: it was made for a dry run, and is dropped by Release.
	Scratch bool
	Release func() error // nil: nothing to do
}

// connectPatience bounds the wait for a database that is there.
const connectPatience = 10 * time.Second

// Rebuild builds the state of a service anew. When it has failed or was killed, it is
// run again.
func Rebuild(ctx context.Context, p RebuildProgram, o RebuildOptions) (_ replay.Report, err error) {
	var logs io.Writer = os.Stderr
	if p.Config.Logs != nil {
		logs = p.Config.Logs
	}
	faults, err := p.Config.Faults.NewSet(telemetry.NewLogger(logs, p.Config.Telemetry), prometheus.NewRegistry(), replay.Points()...)
	if err != nil {
		return replay.Report{}, err
	}
	r, err := replay.Open(ctx, replay.Config{
		Kafka: p.Config.Kafka, Group: p.Group, Own: p.Own, NeedsProgress: p.NeedsProgress,
		From: o.From, DryRun: o.DryRun, AllowGaps: o.AllowGaps, Progress: o.Progress, Faults: faults,
	})
	if err != nil {
		return replay.Report{}, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()

	database := RebuildDatabase{URL: p.Config.Postgres.URL}
	if o.Database != nil {
		if database, err = o.Database(ctx, o.DryRun); err != nil {
			return replay.Report{}, err
		}
	}
	if database.Release != nil {
		defer func() { err = errors.Join(err, database.Release()) }()
	}
	if database.Made || database.Scratch {
		r.DatabaseMade()
	}
	pool, err := openNow(ctx, postgres.Config{URL: database.URL, MaxConns: p.Config.Postgres.MaxConns})
	if err != nil {
		return replay.Report{}, err
	}
	defer pool.Close()
	taken, release, err := postgres.TryLock(ctx, pool, "replay")
	if err != nil {
		return replay.Report{}, fmt.Errorf("lock the database: %w", err)
	}
	if !taken {
		return replay.Report{}, errors.New("another replay is at work on this database")
	}
	defer release()
	if o.DryRun && !database.Scratch {
		return rehearse(ctx, p, r, pool)
	}
	if err := postgres.Migrate(ctx, pool, p.Migrations...); err != nil {
		return replay.Report{}, fmt.Errorf("migrate the database: %w", err)
	}
	return p.Restore(ctx, r, pool)
}

// rehearse does all of it in one transaction and undoes that.
func rehearse(ctx context.Context, p RebuildProgram, r *replay.Replay, pool *pgxpool.Pool) (_ replay.Report, err error) {
	pending, err := postgres.Pending(ctx, pool, p.Migrations...)
	if err != nil {
		return replay.Report{}, fmt.Errorf("look at the database: %w", err)
	}
	if pending {
		return replay.Report{}, errors.New("the database lacks migrations, so a dry run cannot tell what there is: the service makes them when it starts, and so does a replay without a dry run")
	}
	tx, err := pool.Begin(ctx)
	if err != nil {
		return replay.Report{}, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectPatience)
		defer cancel()
		if rollbackErr := tx.Rollback(ctx); rollbackErr != nil && !errors.Is(rollbackErr, pgx.ErrTxClosed) {
			err = errors.Join(err, fmt.Errorf("undo the dry run: %w", rollbackErr))
		}
	}()
	return p.Restore(ctx, r, tx)
}

// openNow opens a database that has to be there already.
func openNow(ctx context.Context, c postgres.Config) (*pgxpool.Pool, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, c.URL)
	if postgres.IsMissingDatabase(err) {
		return nil, fmt.Errorf("the database does not exist; make it, empty and owned by the service's role: %w", err)
	}
	if err == nil {
		err = conn.Close(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, connectPatience)
	defer cancel()
	c.MaxConns = max(c.MaxConns, 2) // one holds the lock
	return postgres.Open(ctx, c, postgres.Options{})
}
