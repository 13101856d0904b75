// Package brokercmd is the body of the command that runs a broker alone, for
// cmd/broker here and for whoever builds the broker into a larger program.
package brokercmd

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"

	"millrace/broker"
	"millrace/broker/internal/config"
)

// Options are the command's flags.
type Options struct {
	Listen []string // --listen, repeated: [NAME://]HOST:PORT[,advertise=HOST:PORT]
	Data   string   // --data
	Set    []string // --set, repeated: NAME=VALUE, over what the file says
	File   string   // --config: a properties file
	HTTP   string   // --http
	Faults bool     // --faults
	Scram  []string // --add-scram, repeated: a SCRAM user, or @FILE with one a line
}

// UsageError is returned for options that are wrong, before anything was opened.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *UsageError) Unwrap() error { return e.Err }

// Register adds the flags to f.
func (o *Options) Register(f *flag.FlagSet) {
	f.Var((*list)(&o.Listen), "listen", "`address` to listen on, [NAME://]HOST:PORT[,advertise=HOST:PORT]; repeat for more (default 127.0.0.1:9092)")
	f.StringVar(&o.Data, "data", "", "`folder` of all data (log.dirs)")
	f.Var((*list)(&o.Set), "set", "a setting by Kafka's name, `NAME=VALUE`; repeat for more")
	f.StringVar(&o.File, "config", "", "properties `file` with settings by Kafka's names")
	f.Var((*list)(&o.Scram), "add-scram", "a `user` to make where it is not there, SCRAM-SHA-512=[name=NAME,password=PASSWORD], or @FILE with one a line, which keeps the password from the list of processes; repeat for more")
	f.StringVar(&o.HTTP, "http", "", "`address` of /healthz, /readyz and /metrics")
	f.BoolVar(&o.Faults, "faults", false, "let the broker be made to fail on purpose at /admin/faults of --http; for tests and lessons only")
}

type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// Config checks the options and returns what broker.Open takes.
func (o *Options) Config(log *slog.Logger) (broker.Config, error) {
	cfg := broker.Config{DataDir: o.Data, HTTP: o.HTTP, Faults: o.Faults, Log: log, Settings: map[string]string{}}
	if o.File != "" {
		text, err := os.ReadFile(o.File)
		if err != nil {
			return cfg, &UsageError{err}
		}
		if cfg.Settings, err = config.ReadProperties(text); err != nil {
			return cfg, &UsageError{fmt.Errorf("%s: %w", o.File, err)}
		}
	}
	for _, s := range o.Set {
		name, value, err := config.ParseSetting(s)
		if err != nil {
			return cfg, &UsageError{fmt.Errorf("--set: %w", err)}
		}
		cfg.Settings[name] = value
	}
	for _, s := range o.Listen {
		l, err := broker.ParseListen(s)
		if err != nil {
			return cfg, &UsageError{fmt.Errorf("--listen: %w", err)}
		}
		cfg.Listen = append(cfg.Listen, l)
	}
	var err error
	if cfg.ScramUsers, err = scramUsers(o.Scram); err != nil {
		return cfg, &UsageError{fmt.Errorf("--add-scram: %w", err)}
	}
	if o.Data == "" && cfg.Settings["log.dirs"] == "" && cfg.Settings["log.dir"] == "" {
		return cfg, &UsageError{fmt.Errorf("no data folder: give --data FOLDER, or log.dirs in the properties file")}
	}
	if o.Faults && o.HTTP == "" {
		return cfg, &UsageError{fmt.Errorf("--faults needs --http: that is where faults are set")}
	}
	if err := broker.Validate(cfg); err != nil {
		return cfg, &UsageError{err}
	}
	return cfg, nil
}

func scramUsers(given []string) (users []broker.ScramUser, err error) {
	var lines []string
	for _, s := range given {
		path, isFile := strings.CutPrefix(s, "@")
		if !isFile {
			lines = append(lines, s)
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				lines = append(lines, line)
			}
		}
	}
	for _, line := range lines {
		u, err := broker.ParseScramUser(line)
		if err != nil {
			return nil, err
		}
		users = append(users, u)
	}
	return users, nil
}

// Run runs a broker until ctx ends. An error is a *UsageError when the options are wrong.
func Run(ctx context.Context, o Options, log *slog.Logger) error {
	cfg, err := o.Config(log)
	if err != nil {
		return err
	}
	tuneMemory()
	b, err := broker.Open(ctx, cfg)
	if err != nil && ctx.Err() != nil {
		return nil //nolint:nilerr // told to stop before it was open, which is no fault
	}
	if err != nil {
		return err
	}
	return b.Run(ctx)
}

// tuneMemory keeps the heap near what is alive while that is small, where the
// environment does not say otherwise: most of the broker's bytes are the system's page cache.
func tuneMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(1 << 30)
	}
}
