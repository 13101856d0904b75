package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"millrace/pkg/postgres"
	"millrace/pkg/postgres/postgrestest"
)

// On a pool each statement stands alone; in a transaction a failed one leaves the others
// as they were, and the end decides about all.
func TestForEach(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t, notes)
	var id int
	insert := func(db postgres.Beginner, ids ...int) (got []int, err error) {
		err = postgres.ForEach(t.Context(), db, []any{&id}, func() error {
			got = append(got, id)
			return nil
		}, `INSERT INTO notes SELECT * FROM unnest($1::int[]) RETURNING id`, ids)
		return got, err
	}
	if got, err := insert(pool, 1, 2); err != nil || !slices.Equal(got, []int{1, 2}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := insert(pool, 3, 1); !postgres.IsDataError(err) || postgres.IsTransient(err) {
		t.Errorf("a row that is there: %v", err)
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := insert(tx, 4, 1); !postgres.IsDataError(err) {
		t.Errorf("a row that is there, in a transaction: %v", err)
	}
	if got, err := insert(tx, 5); err != nil || !slices.Equal(got, []int{5}) {
		t.Errorf("after a failed one: %v, %v", got, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	mine := errors.New("mine")
	if err := postgres.ForEach(t.Context(), pool, []any{&id}, func() error { return mine }, `SELECT id FROM notes`); !errors.Is(err, mine) {
		t.Errorf("%v", err)
	}
	var n int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM notes`).Scan(&n); err != nil || n != 2 {
		t.Errorf("%d rows are left, %v", n, err)
	}
}

func TestIsDataError(t *testing.T) {
	for code, want := range map[string]bool{"22021": true, "22003": true, "23505": true, "23514": true, "40001": false, "57P01": false, "42601": false, "": false} {
		if got := postgres.IsDataError(fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: code})); got != want {
			t.Errorf("%q: %v", code, got)
		}
	}
	if postgres.IsDataError(nil) || postgres.IsDataError(errors.New("22021")) {
		t.Error("an error that is none of Postgres' is one of the data")
	}
}

// To look for migrations makes none, not even goose's own table.
func TestPending(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	for range 2 {
		if pending, err := postgres.Pending(t.Context(), pool, notes); err != nil || !pending {
			t.Errorf("in an empty database: %v, %v", pending, err)
		}
	}
	var tables int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`).Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables were made, %v", tables, err)
	}
	if err := postgres.Migrate(t.Context(), pool, notes); err != nil {
		t.Fatal(err)
	}
	if pending, err := postgres.Pending(t.Context(), pool, notes); err != nil || pending {
		t.Errorf("in a migrated database: %v, %v", pending, err)
	}
}

func TestTryLock(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	taken, release, err := postgres.TryLock(t.Context(), pool, "purpose")
	if err != nil || !taken {
		t.Fatal(taken, err)
	}
	if again, _, err := postgres.TryLock(t.Context(), pool, "purpose"); again || err != nil {
		t.Errorf("taken twice: %v, %v", again, err)
	}
	other, releaseOther, err := postgres.TryLock(t.Context(), pool, "another purpose")
	if err != nil || !other {
		t.Fatal(other, err)
	}
	releaseOther()
	release()
	if again, release, err := postgres.TryLock(t.Context(), pool, "purpose"); !again || err != nil {
		t.Errorf("not given back: %v, %v", again, err)
	} else {
		release()
	}
}

func TestLookAndDrop(t *testing.T) {
	t.Parallel()
	admin := postgrestest.AdminURL(t)
	const name = "look and \"drop"
	look := func(wantExists, wantEmpty bool) {
		t.Helper()
		if exists, empty, err := postgres.Look(t.Context(), admin, name); err != nil || exists != wantExists || empty != wantEmpty {
			t.Errorf("exists %v, empty %v, %v; want %v, %v", exists, empty, err, wantExists, wantEmpty)
		}
	}
	look(false, false)
	url, err := postgres.Provision(t.Context(), admin, name, "look_role", "secret")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := postgres.RoleURL(admin, name, "look_role", "secret"); err != nil || again != url {
		t.Errorf("%s, %v; want %s", again, err, url)
	}
	look(true, true)
	conn, err := pgx.Connect(t.Context(), url) // stays connected, which does not keep the database
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `CREATE TABLE mine (id int)`); err != nil {
		t.Fatal(err)
	}
	look(true, false)
	for range 2 {
		if err := postgres.Drop(t.Context(), admin, name); err != nil {
			t.Error(err)
		}
	}
	look(false, false)
	if _, err := pgx.Connect(t.Context(), url); !postgres.IsMissingDatabase(err) {
		t.Errorf("%v", err)
	}
}
