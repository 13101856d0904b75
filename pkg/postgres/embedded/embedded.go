// Package embedded runs a real Postgres server as a child process, on the loopback
// interface, with its data in a folder of ours. It takes a server that is installed,
// and fetches one where there is none.
//
// The data folder holds
//
//	data/          the cluster, as initdb makes it
//	password       the superuser's password, made once, readable by its owner alone
//	postgres.log   what the server says
//	lock           held while a server is started from this folder
//
// Postgres refuses to run as root. When we are root, it runs as the user postgres, or
// nobody; and when that user cannot reach the data folder, the cluster is put where it
// can, and data is a symbolic link to it.
package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Config describes a [Server]. Zero values mean the defaults named here.
type Config struct {
	// DataDir holds the cluster, the password and the log. Required. It is made when absent.
	DataDir string
	// Port on 127.0.0.1; 0: a free one.
	Port int
	// BinDir holds postgres and initdb; empty: found by [Find], else fetched.
	BinDir string
	// CacheDir keeps fetched binaries; empty: the user's cache folder.
	CacheDir string
	// Progress takes a line for each step that takes time; nil: none.
	Progress func(line string)
	// Output takes what the server prints; nil: the file postgres.log in DataDir.
	Output io.Writer
	// Settings are further settings of the server, by their names.
	Settings map[string]string
	// Template keeps an initialised cluster, which is made at the first use, and
	// copied from then on: much faster than initdb. For tests; it is not synced to
	// the disk, and all that use it share a password. Empty: none.
	Template string
	// StartTimeout bounds everything but the download; 0: 60 s.
	StartTimeout time.Duration
	// StopTimeout bounds the fast shutdown before the immediate one; 0: 10 s.
	StopTimeout time.Duration

	Logger *slog.Logger
}

const (
	superuser    = "postgres"
	loopback     = "127.0.0.1"
	logName      = "postgres.log"
	passwordName = "password"
	clusterName  = "data"
	lockName     = "lock"
)

// settings keep the server small. It stays durable: fsync and synchronous_commit are
// left at their defaults, on.
var settings = map[string]string{
	"shared_buffers":                   "24MB",
	"max_connections":                  "64",
	"jit":                              "off",
	"max_worker_processes":             "2",
	"max_parallel_workers":             "0",
	"max_parallel_workers_per_gather":  "0",
	"max_parallel_maintenance_workers": "0",
	"max_logical_replication_workers":  "0",
	"autovacuum_max_workers":           "1",
	"wal_level":                        "minimal",
	"max_wal_senders":                  "0",
	"max_wal_size":                     "512MB",
	"huge_pages":                       "off",
	"unix_socket_directories":          "",
	"listen_addresses":                 loopback,
	"password_encryption":              "scram-sha-256",
	"log_checkpoints":                  "off",
	"timezone":                         "UTC",
	"log_timezone":                     "UTC",
}

func (c Config) withDefaults() (Config, error) {
	if c.DataDir == "" {
		return c, errors.New("embedded postgres: DataDir is empty")
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return c, err
	}
	c.DataDir = dir
	if c.Progress == nil {
		c.Progress = func(string) {}
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = 60 * time.Second
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = 10 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// Start finds the binaries, initialises the cluster when DataDir is new, ends what a
// killed run has left, starts the server and returns when it accepts connections.
// ctx bounds the start only.
func Start(ctx context.Context, c Config) (_ *Server, err error) {
	if c, err = c.withDefaults(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.DataDir, 0o755); err != nil {
		return nil, err
	}
	lock, err := lockFile(filepath.Join(c.DataDir, lockName))
	if err != nil {
		return nil, err
	}
	s := &Server{config: c, lock: lock}
	defer func() {
		if err != nil {
			s.closeFiles()
		}
	}()
	if s.user, err = unprivileged(); err != nil {
		return nil, err
	}
	if s.cluster, err = placeCluster(c.DataDir, s.user); err != nil {
		return nil, err
	}
	if s.binDir, err = binaries(ctx, c, s.cluster, s.user); err != nil {
		return nil, err
	}
	// A download has no limit but the caller's.
	ctx, cancel := context.WithTimeout(ctx, c.StartTimeout)
	defer cancel()
	if s.password, err = c.superuserPassword(); err != nil {
		return nil, err
	}
	if err := initialise(ctx, c, s.binDir, s.cluster, s.password, s.user); err != nil {
		return nil, err
	}
	if err := stopOrphan(ctx, c, s.cluster); err != nil {
		return nil, err
	}
	if err := s.serve(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// serve starts the server on its port. Where we pick the port, another program may be
// faster to take it; then it is tried with another one.
func (s *Server) serve(ctx context.Context) error {
	if s.config.Port != 0 {
		if !isFree(s.config.Port) {
			return fmt.Errorf("port %d is taken, postgres cannot listen there", s.config.Port)
		}
		s.port = s.config.Port
		if err := s.launch(); err != nil {
			return err
		}
		return s.waitReady(ctx)
	}
	for attempt := 1; ; attempt++ {
		var err error
		if s.port, err = freePort(); err != nil {
			return err
		}
		if err := s.launch(); err != nil {
			return err
		}
		err = s.waitReady(ctx)
		if err == nil || attempt == portAttempts || s.running() || isFree(s.port) {
			return err
		}
	}
}

// binaries returns the folder to run from.
func binaries(ctx context.Context, c Config, cluster string, user *account) (string, error) {
	if c.BinDir != "" {
		if !hasServer(c.BinDir) {
			return "", fmt.Errorf("%s does not hold postgres and initdb", c.BinDir)
		}
		return c.BinDir, nil
	}
	major := clusterVersion(cluster)
	dir, findErr := find(ctx, major)
	if findErr == nil {
		return dir, nil
	}
	dir, err := fetch(ctx, c, major, user)
	if err != nil {
		return "", fmt.Errorf("%w; and to fetch it failed: %w", findErr, err)
	}
	return dir, nil
}

// clusterVersion is the major version that made the cluster, or empty.
func clusterVersion(cluster string) string {
	b, err := os.ReadFile(filepath.Join(cluster, "PG_VERSION"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// superuserPassword is made once for a data folder, or once for a template.
func (c Config) superuserPassword() (string, error) {
	if c.Template == "" {
		return password(c.DataDir)
	}
	if err := os.MkdirAll(c.Template, 0o755); err != nil {
		return "", err
	}
	lock, err := awaitLock(filepath.Join(c.Template, lockName))
	if err != nil {
		return "", err
	}
	defer lock.Close()
	return password(c.Template)
}

// password returns the password in a folder, made at the first start.
func password(dataDir string) (string, error) {
	file := filepath.Join(dataDir, passwordName)
	b, err := os.ReadFile(file)
	if err == nil && len(strings.TrimSpace(string(b))) > 0 {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	secret := rand.Text()
	return secret, os.WriteFile(file, []byte(secret+"\n"), 0o600)
}

// adminURL is for a database of the server.
func adminURL(password string, port int) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, password),
		Host:     net.JoinHostPort(loopback, strconv.Itoa(port)),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// waitReady returns when the server answers a query, or why it cannot.
func (s *Server) waitReady(ctx context.Context) error {
	const pause = 10 * time.Millisecond
	var last error
	for {
		conn, err := pgx.Connect(ctx, s.AdminURL())
		if err == nil {
			return conn.Close(ctx)
		}
		last = err
		select {
		case <-s.done:
			return fmt.Errorf("postgres ended while starting: %w%s", s.exit, s.lastWords())
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer on port %d: %w%s", s.port, errors.Join(context.Cause(ctx), last), s.lastWords())
		case <-time.After(pause):
		}
	}
}

// Ports are picked below the range that systems hand to outgoing connections.
const (
	firstPort    = 15433
	lastPort     = 31999
	portAttempts = 5
)

// freePort returns a port that is free now.
func freePort() (int, error) {
	const tries = 100
	for range tries {
		if port := firstPort + mathrand.IntN(lastPort-firstPort+1); isFree(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("found no free port between %d and %d for postgres", firstPort, lastPort)
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
	return err == nil && l.Close() == nil
}
