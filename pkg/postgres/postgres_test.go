package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"millrace/pkg/postgres"
	"millrace/pkg/postgres/postgrestest"
)

func TestConfig_ValidateNamesTheVariable(t *testing.T) {
	for name, c := range map[string]struct {
		config postgres.Config
		want   string
	}{
		"missing":   {postgres.Config{}, "DATABASE_URL is not set"},
		"no URL":    {postgres.Config{URL: "host=x"}, "DATABASE_URL is no URL"},
		"max conns": {postgres.Config{URL: "postgres://u:secret@h/d", MaxConns: -1}, "DATABASE_MAX_CONNS is -1"},
		"good":      {postgres.Config{URL: "postgres://u:secret@h/d"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.config.Validate()
			if got := fmt.Sprint(err); !strings.Contains(got, c.want) || (err == nil) != (c.want == "") || strings.Contains(got, "secret") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestOpen_WaitsUntilContextEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := postgres.Open(ctx, postgres.Config{URL: "postgres://u:secret@127.0.0.1:1/d"}, postgres.Options{})
	if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "secret") {
		t.Fatalf("got %v", err)
	}
}

func TestOpen_ReportsPoolMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	pool, err := postgres.Open(t.Context(), postgres.Config{URL: postgrestest.NewURL(t)}, postgres.Options{Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if n, err := testutil.GatherAndCount(registry, "postgres_pool_connections"); n != 3 || err != nil {
		t.Errorf("got %d series, %v", n, err)
	}
}

var notes = postgres.Migrations{Name: "notes", FS: fstest.MapFS{
	"00001_notes.sql": {Data: []byte("-- +goose Up\nCREATE TABLE notes (id int PRIMARY KEY, text text);\n-- +goose Down\nDROP TABLE notes;\n")},
}}

var tags = postgres.Migrations{Name: "tags", Dir: "migrations", FS: fstest.MapFS{
	"migrations/00001_tags.sql": {Data: []byte("-- +goose Up\nCREATE TABLE tags (id int PRIMARY KEY);\n")},
}}

func TestMigrate_TwiceAndAtTheSameTime(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := postgres.Migrate(t.Context(), pool, notes, tags); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := pool.Exec(t.Context(), `INSERT INTO notes VALUES (1, 'a'); INSERT INTO tags VALUES (1)`); err != nil {
		t.Fatal(err)
	}
	if err := postgres.Migrate(t.Context(), pool, postgres.Migrations{Name: "Bad name", FS: notes.FS}); err == nil {
		t.Error("a bad name was accepted")
	}
}

func TestInTx_CommitsRollsBackAndRetries(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t, notes)
	count := func() (n int) {
		if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM notes`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	insert := func(id int) func(pgx.Tx) error {
		return func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), `INSERT INTO notes VALUES ($1)`, id)
			return err
		}
	}
	if err := postgres.InTx(t.Context(), pool, insert(1)); err != nil || count() != 1 {
		t.Fatalf("commit: %v", err)
	}
	if err := postgres.InTx(t.Context(), pool, insert(1)); !postgres.IsUniqueViolation(err, "notes_pkey") || postgres.IsUniqueViolation(err, "other") || postgres.IsTransient(err) {
		t.Errorf("unique violation: %v", err)
	}
	mine := errors.New("mine")
	if err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error { return errors.Join(insert(2)(tx), mine) }); !errors.Is(err, mine) || count() != 1 {
		t.Errorf("rollback: %v", err)
	}
	func() {
		defer func() { _ = recover() }()
		_ = postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error { panic(insert(3)(tx)) })
	}()
	if count() != 1 || pool.Stat().AcquiredConns() != 0 {
		t.Error("a panic left its transaction open")
	}
	tries := 0
	err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		tries++
		if tries < 3 {
			return &pgconn.PgError{Code: "40001"}
		}
		return insert(4)(tx)
	})
	if err != nil || tries != 3 || count() != 2 {
		t.Errorf("conflict: %v after %d tries", err, tries)
	}
}

func TestIsTransient(t *testing.T) {
	_, refused := pgx.Connect(t.Context(), "postgres://u:p@127.0.0.1:1/d")
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("other"), false},
		{&pgconn.PgError{Code: "40001"}, true},
		{&pgconn.PgError{Code: "40P01"}, true},
		{&pgconn.PgError{Code: "57P01"}, true},
		{&pgconn.PgError{Code: "53300"}, true},
		{&pgconn.PgError{Code: "23505"}, false},
		{&pgconn.PgError{Code: "42601"}, false},
		{fmt.Errorf("wrapped: %w", refused), true},
		{context.DeadlineExceeded, true},
		{context.Canceled, false},
	} {
		if got := postgres.IsTransient(c.err); got != c.want {
			t.Errorf("%v: got %v", c.err, got)
		}
	}
}

func TestProvision_KeepsOthersOut(t *testing.T) {
	t.Parallel()
	admin := postgrestest.AdminURL(t)
	var wg sync.WaitGroup
	urls := make([]string, 2)
	for range 2 { // again, and at the same time
		for i, name := range []string{"order", "inventory"} {
			wg.Go(func() {
				u, err := postgres.Provision(t.Context(), admin, "prov_"+name, "prov_"+name, `p'\"@ `+name)
				if err != nil {
					t.Error(err)
				}
				urls[i] = u
			})
		}
		wg.Wait()
	}
	for i, u := range urls {
		conn, err := pgx.Connect(t.Context(), u)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), `CREATE TABLE mine (id int)`); err != nil {
			t.Error(err)
		}
		conn.Close(t.Context())
		other := strings.Replace(u, "/prov_"+[]string{"order", "inventory"}[i]+"?", "/prov_"+[]string{"inventory", "order"}[i]+"?", 1)
		if other == u {
			t.Fatal("test is wrong: ", u)
		}
		if conn, err := pgx.Connect(t.Context(), other); err == nil {
			conn.Close(t.Context())
			t.Error("one service's role can connect to another's database")
		}
	}
}
