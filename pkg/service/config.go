package service

import (
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"time"

	"github.com/caarlos0/env/v11"

	"millrace/pkg/messaging"
	"millrace/pkg/postgres"
	"millrace/pkg/telemetry"
)

// Config is the settings that all services share. A service embeds it in its own.
type Config struct {
	// DrainTimeout is how long what is in hand may take once the service is told to stop.
	DrainTimeout time.Duration `env:"DRAIN_TIMEOUT" envDefault:"10s"`
	// ShutdownDelay is how long a service that is told to stop still answers new requests,
	// while /readyz says 503, so that whoever sends them can turn to another instance. It
	// comes before DrainTimeout; consumers stop at once.
	ShutdownDelay time.Duration `env:"SHUTDOWN_DELAY" envDefault:"0s"`
	// InboxKeep is how long the ids of processed messages are kept. It has to be longer
	// than a message may take to come again. After that the order that it is about tells
	// that it was dealt with: a reservation, an outcome, a mail.
	InboxKeep time.Duration `env:"INBOX_KEEP" envDefault:"192h"`

	// Retry says how often and when a failed message is tried again.
	Retry messaging.RetryPolicy `envPrefix:"RETRY_"`
	// ParkKeys keeps the order of the messages of one key: those behind one that was put
	// aside are put aside too. It costs a look into the database for each message.
	ParkKeys bool `env:"PARK_KEYS" envDefault:"false"`

	Faults FaultConfig
	// WrongWays names what is done wrong on purpose, see package wrongway.
	WrongWays []string `env:"WRONG_WAYS"`

	Kafka     messaging.Config
	Postgres  postgres.Config
	Telemetry telemetry.Config

	// Listener replaces the service's address; tests set it.
	Listener net.Listener `env:"-"`
	// Logs is where logs go; nil: standard error.
	Logs io.Writer `env:"-"`
}

// Validate names the variable that is wrong, its value and what is allowed.
func (c Config) Validate() error {
	if c.DrainTimeout <= 0 || c.DrainTimeout > time.Minute {
		return Invalid("DRAIN_TIMEOUT", c.DrainTimeout, "a duration above 0 and up to 1m, as 10s")
	}
	if c.ShutdownDelay < 0 || c.ShutdownDelay > time.Minute {
		return Invalid("SHUTDOWN_DELAY", c.ShutdownDelay, "a duration from 0s to 1m, as 5s")
	}
	if c.InboxKeep < time.Hour {
		return Invalid("INBOX_KEEP", c.InboxKeep, "a duration from 1h, longer than a message may take to come again")
	}
	if c.Postgres.URL == "" {
		return Invalid("DATABASE_URL", "", "postgres://user:password@host:port/database")
	}
	for _, err := range []error{c.Retry.Validate(), c.Faults.Validate(), c.Kafka.Validate(), c.Postgres.Validate(), c.Telemetry.Validate()} {
		if err != nil {
			return err
		}
	}
	return nil
}

// CheckAddr validates an address to listen at.
func CheckAddr(variable, addr string) error {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return Invalid(variable, addr, "host:port, as 127.0.0.1:8081, or :8081 for all interfaces")
	}
	return nil
}

// Invalid says that a variable has a value that is not allowed.
func Invalid(variable string, value any, allowed string) error {
	return fmt.Errorf("%s is %q; allowed is %s", variable, fmt.Sprint(value), allowed)
}

// invalidBecause says why a variable's value is not allowed.
func invalidBecause(variable string, err error) error { return fmt.Errorf("%s: %w", variable, err) }

// FromEnv reads settings by their env tags. environ is in the form of os.Environ.
// An empty variable counts as one that is not set.
func FromEnv[C interface{ Validate() error }](environ []string) (C, error) {
	var c C
	vars := env.ToMap(environ)
	for name, value := range vars {
		if value == "" {
			delete(vars, name)
		}
	}
	if err := env.ParseWithOptions(&c, env.Options{Environment: vars}); err != nil {
		return c, readable(err, reflect.TypeFor[C](), vars)
	}
	return c, c.Validate()
}

// readable names the variable where the library names the field of the struct.
func readable(err error, config reflect.Type, vars map[string]string) error {
	var parse env.ParseError
	if !errors.As(err, &parse) {
		return err
	}
	variable := variableOf(config, "", parse.Name)
	return Invalid(variable, vars[variable], "a value of the kind "+kindName(parse.Type))
}

// variableOf finds the variable that fills a field.
func variableOf(t reflect.Type, prefix, field string) string {
	for i := range t.NumField() {
		f := t.Field(i)
		if name, ok := f.Tag.Lookup("env"); ok {
			if f.Name == field {
				return prefix + name
			}
			continue
		}
		if f.Type.Kind() == reflect.Struct {
			if found := variableOf(f.Type, prefix+f.Tag.Get("envPrefix"), field); found != "" {
				return found
			}
		}
	}
	return ""
}

func kindName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return "duration, as 10s or 1h30m"
	case t == reflect.TypeFor[[]time.Duration]():
		return "durations separated by commas, as 5s,30s"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.PkgPath() == "log/slog":
		return "debug, info, warn or error"
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return "whole number"
	default:
		return t.String()
	}
}
