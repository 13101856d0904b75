// Package postgrestest gives a test a database of its own in a real Postgres. One
// server runs per test process; it is started at the first use from a copy of a
// cluster that is initialised once per machine, without fsync.
//
// With [Main] in TestMain the server lives until all tests are done. Without it, it
// ends with the last test that uses it, and the next test starts it again.
package postgrestest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"millrace/pkg/postgres"
	"millrace/pkg/postgres/embedded"
)

const timeout = 2 * time.Minute

// shared is the server of the process. mu guards it.
var shared struct {
	mu     sync.Mutex
	server *embedded.Server
	dir    string
	users  int
}

// Main runs the tests and stops the server. Call it from TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }
func Main(m *testing.M) int {
	shared.mu.Lock()
	shared.users++
	shared.mu.Unlock()
	code := m.Run()
	if err := leave(); err != nil {
		fmt.Fprintln(os.Stderr, "postgrestest:", err)
		return max(code, 1)
	}
	return code
}

// New returns a pool for a fresh database, with the migrations applied. Both are gone
// when the test ends.
func New(t testing.TB, migrations ...postgres.Migrations) *pgxpool.Pool {
	t.Helper()
	return open(t, NewURL(t, migrations...))
}

// NewURL is New for what wants a DATABASE_URL.
func NewURL(t testing.TB, migrations ...postgres.Migrations) string {
	t.Helper()
	admin := AdminURL(t)
	name := "test_" + strings.ToLower(rand.Text()[:16])
	exec(t, admin, `CREATE DATABASE `+name+` TEMPLATE template0`)
	t.Cleanup(func() { exec(t, admin, `DROP DATABASE IF EXISTS `+name+` WITH (FORCE)`) })
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	if len(migrations) > 0 {
		pool := openUntil(t, u.String())
		defer pool.Close()
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if err := postgres.Migrate(ctx, pool, migrations...); err != nil {
			t.Fatal(err)
		}
	}
	return u.String()
}

// AdminURL returns the superuser's URL of the process's server, which runs until the
// test ends at least.
func AdminURL(t testing.TB) string {
	t.Helper()
	return Server(t).AdminURL()
}

// Server returns the process's server, which runs until the test ends at least.
func Server(t testing.TB) *embedded.Server {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		if err := start(); err != nil {
			t.Fatal("postgrestest: ", err)
		}
	}
	shared.users++
	t.Cleanup(func() {
		if err := leave(); err != nil {
			t.Error("postgrestest: ", err)
		}
	})
	return shared.server
}

func start() error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "millrace-postgrestest-")
	if err != nil {
		return err
	}
	// The server's user has to enter it when we are root.
	if err := os.Chmod(dir, 0o755); err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	server, err := embedded.Start(ctx, embedded.Config{
		DataDir:  dir,
		Template: filepath.Join(cache, "millrace", "postgrestest"),
		Progress: func(line string) {
			if strings.Contains(line, "fetch") {
				fmt.Fprintln(os.Stderr, "postgrestest:", line)
			}
		},
		Settings: map[string]string{
			"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200",
		},
	})
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	shared.server, shared.dir = server, dir
	return nil
}

// leave ends the server when nobody uses it any more.
func leave() error {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.users--; shared.users > 0 || shared.server == nil {
		return nil
	}
	err := errors.Join(shared.server.Err(), shared.server.Stop(), os.RemoveAll(shared.dir))
	shared.server, shared.dir = nil, ""
	return err
}

func open(t testing.TB, databaseURL string) *pgxpool.Pool {
	t.Helper()
	pool := openUntil(t, databaseURL)
	t.Cleanup(pool.Close)
	return pool
}

func openUntil(t testing.TB, databaseURL string) *pgxpool.Pool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	pool, err := postgres.Open(ctx, postgres.Config{URL: databaseURL}, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return pool
}

func exec(t testing.TB, databaseURL, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Error(err)
	}
}
