// Package embedded runs a real Postgres server as a child process, on the loopback
// interface, with its data in a folder of ours. It takes a server that is installed,
// and fetches one where there is none.
package embedded

import (
	"context"
	"io"
	"log/slog"
	"time"
)

// Config describes a [Server]. Zero values mean the defaults named here.
type Config struct {
	// DataDir holds the cluster, the password and the log. Required. It is made when absent.
	DataDir string
	// Port on 127.0.0.1; 0: a free one.
	Port int
	// BinDir holds postgres and initdb; empty: found by [Find].
	BinDir string
	// CacheDir keeps fetched binaries; empty: the user's cache folder.
	CacheDir string
	// Progress takes a line for each step that takes time; nil: none.
	Progress func(line string)
	// Output takes what the server prints; nil: the file postgres.log in DataDir.
	Output io.Writer
	// StartTimeout bounds the wait for readiness; 0: 60 s.
	StartTimeout time.Duration
	// StopTimeout bounds the fast shutdown before the immediate one; 0: 10 s.
	StopTimeout time.Duration

	Logger *slog.Logger
}

// Server is a running Postgres. The child ends with the process that started it, on
// Linux even when that is killed.
type Server struct{}

// Start finds the binaries, initialises the cluster when DataDir is new, ends what a
// killed run has left, starts the server and returns when it accepts connections.
// ctx bounds the start only.
func Start(ctx context.Context, c Config) (*Server, error) { return &Server{}, nil }

// AdminURL is the URL of the superuser, for Provision.
func (s *Server) AdminURL() string { return "" }

// Port is where the server listens on 127.0.0.1.
func (s *Server) Port() int { return 0 }

// PID is the process id of the postmaster.
func (s *Server) PID() int { return 0 }

// Done is closed when the server has ended; Err tells why.
func (s *Server) Done() <-chan struct{} { return nil }

// Err is nil while the server runs and after Stop.
func (s *Server) Err() error { return nil }

// Stop shuts the server down (fast, then immediate) and waits for its end. It may be
// called twice.
func (s *Server) Stop() error { return nil }

// Find returns the folder that holds postgres and initdb: from PATH, or from where
// the packages of Linux distributions, Homebrew and Postgres.app put them. The error
// says what to install.
func Find() (binDir string, err error) { return "", nil }
