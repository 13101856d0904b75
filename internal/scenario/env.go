package scenario

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"millrace/internal/datadir"
	"millrace/internal/supervise"
)

// EnvConfig says where an environment finds things.
type EnvConfig struct {
	Executable string   // the program whose subcommands are the parts
	Environ    []string // what parts get, besides what is theirs
	Data       string   // data folder of a shop that may be running; empty: none
	Brokers    []string // brokers that the user named; nil for none
	Temp       string   // where temporary folders are made; empty is the system's place
	// Hurry is closed when what ends should end at once.
	Hurry <-chan struct{}
}

// Env starts what a scenario needs, and ends all of it at Close.
type Env struct {
	config EnvConfig
	say    func(key string, args A) // of the stage

	shops atomic.Int64 // names the folders of private shops

	mu      sync.Mutex // guards what follows
	sup     *supervise.Supervisor
	lines   map[string]func([]byte) // part → who takes its output
	closers []func(context.Context) error
	folder  string
	closed  bool
}

// NewEnv makes an environment in which nothing has been started yet.
func NewEnv(c EnvConfig) *Env {
	return &Env{config: c, say: func(string, A) {}, lines: map[string]func([]byte){}}
}

// Running is the shop that runs on the data folder, or false.
func (e *Env) Running() (datadir.Shop, bool, error) {
	if e.config.Data == "" {
		return datadir.Shop{}, false, nil
	}
	s, err := datadir.ReadShop(e.config.Data)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, false, nil
	case err != nil:
		return s, false, fmt.Errorf("read where the running shop is: %w", err)
	}
	return s, s.Brokers != "", nil
}

// Close ends everything that was started, in reverse order, deletes the topics and
// groups that were made on somebody else's broker, and removes the folders. It may
// be called twice.
func (e *Env) Close(ctx context.Context) error {
	e.mu.Lock()
	closers, sup, folder, closed := e.closers, e.sup, e.folder, e.closed
	e.closed = true
	e.mu.Unlock()
	if closed {
		return nil
	}
	var errs []error
	for _, closer := range slices.Backward(closers) {
		errs = append(errs, closer(ctx))
	}
	if sup != nil {
		sup.Close()
	}
	if folder != "" {
		errs = append(errs, os.RemoveAll(folder))
	}
	return errors.Join(errs...)
}

// atEnd has something done at Close.
func (e *Env) atEnd(f func(context.Context) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closers = append(e.closers, f)
}

// temp makes a folder that Close removes. An unprivileged Postgres can reach it.
func (e *Env) temp(name string) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return "", errors.New("the environment is closed")
	}
	if e.folder == "" {
		folder, err := os.MkdirTemp(e.config.Temp, "millrace-scenario-")
		if err != nil {
			return "", err
		}
		e.folder = folder
		if err := os.Chmod(folder, 0o755); err != nil { //nolint:gosec // Postgres runs as another user when this is root
			return "", err
		}
	}
	return filepath.Join(e.folder, name), nil
}

// supervisor starts processes, none of which is started again by itself.
func (e *Env) supervisor() *supervise.Supervisor {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.sup == nil {
		e.sup = supervise.New(supervise.Options{Policy: supervise.Never, Line: e.line})
	}
	return e.sup
}

func (e *Env) line(part string, line []byte) {
	e.mu.Lock()
	take := e.lines[part]
	e.mu.Unlock()
	if take != nil {
		take(line)
	}
}

// ownVariables begin the variables that are this project's business and must not
// reach a part by accident: above all DATABASE_URL, for a private shop has a private
// Postgres, and what it breaks is not to be the user's.
var ownVariables = []string{"MILLRACE_", "KAFKA_", "DATABASE_", "PG", "OTEL_", "GOMEMLIMIT=", "GOGC=", "FAULTS", "WRONG_WAYS=", "RETRY_", "PARK_KEYS="}

// partEnviron is the environment of a process started here.
func (e *Env) partEnviron() []string {
	environ := slices.DeleteFunc(slices.Clone(e.config.Environ), func(kv string) bool {
		return slices.ContainsFunc(ownVariables, func(p string) bool { return strings.HasPrefix(kv, p) })
	})
	return append(environ, lifeline)
}
