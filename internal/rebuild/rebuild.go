// Package rebuild finds what a replay needs (broker, database) and hands it to the
// service whose state is built anew.
//
// With a shop that `up` runs on a data folder, all of it is known: where the broker is,
// and who may make a database that is gone. Elsewhere the settings are those of the
// service itself, from its environment.
package rebuild

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"millrace/internal/datadir"
	"millrace/internal/shop"
	"millrace/pkg/events"
	"millrace/pkg/messaging/replay"
	"millrace/pkg/postgres"
	"millrace/pkg/service"
	inventory "millrace/services/inventory/app"
	notification "millrace/services/notification/app"
	order "millrace/services/order/app"
)

// Groups are the consumer groups whose state can be built anew.
var Groups = []string{events.GroupInventory, events.GroupOrder, events.GroupNotification}

// program is a service that can be rebuilt.
type program struct {
	service string
	rebuild func(ctx context.Context, environ []string, o service.RebuildOptions) (replay.Report, error)
}

var programs = map[string]program{
	events.GroupInventory:    {shop.Inventory, with(inventory.FromEnv, inventory.Rebuild)},
	events.GroupOrder:        {shop.Order, with(order.FromEnv, order.Rebuild)},
	events.GroupNotification: {shop.Notification, with(notification.FromEnv, notification.Rebuild)},
}

func with[C any](read func([]string) (C, error), rebuild func(context.Context, C, service.RebuildOptions) (replay.Report, error)) func(context.Context, []string, service.RebuildOptions) (replay.Report, error) {
	return func(ctx context.Context, environ []string, o service.RebuildOptions) (replay.Report, error) {
		config, err := read(environ)
		if err != nil {
			return replay.Report{}, &SettingError{err}
		}
		return rebuild(ctx, config, o)
	}
}

// Service returns the name of the service of a group; ok is false for a group that is none of Groups.
func Service(group string) (name string, ok bool) {
	p, ok := programs[group]
	return p.service, ok
}

// SettingError says that a setting is wrong or missing.
type SettingError struct{ err error }

func (e *SettingError) Error() string { return e.err.Error() }
func (e *SettingError) Unwrap() error { return e.err }

// NoShopError says that neither a shop runs on the folder nor settings say where things are.
type NoShopError struct{ Data string }

func (e *NoShopError) Error() string { return "no shop runs on " + e.Data }

// Config says which state is rebuilt, and where.
type Config struct {
	Group string
	// Data is the folder of a shop that may run.
	Data string
	// Database and Brokers take the place of what would be found; empty: it is found.
	Database, Brokers string
	Environ           []string
	Options           service.RebuildOptions // Database is set here
}

// Run rebuilds the state of a group's service.
func Run(ctx context.Context, c Config) (replay.Report, error) {
	p, ok := programs[c.Group]
	if !ok {
		return replay.Report{}, &SettingError{fmt.Errorf("group %q has no state that could be rebuilt; allowed: %s", c.Group, strings.Join(Groups, ", "))}
	}
	environ := slices.Clone(c.Environ)
	running, err := datadir.ReadShop(c.Data)
	isRunning := err == nil
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return replay.Report{}, fmt.Errorf("read where the shop is: %w", err)
	case isRunning && c.Brokers == "":
		if hasPart(running, "broker") { // its settings are none of the user's own brokers
			environ = without(environ, "KAFKA_")
		}
		environ = append(environ, "KAFKA_BROKERS="+running.Brokers)
	case c.Brokers != "":
		environ = append(environ, "KAFKA_BROKERS="+c.Brokers)
	case value(environ, "KAFKA_BROKERS") == "":
		return replay.Report{}, &NoShopError{Data: c.Data}
	}
	switch {
	case c.Database != "":
		environ = append(environ, "DATABASE_URL="+c.Database)
	case isRunning:
		d, err := databaseOf(c.Data, p.service, running, environ)
		if err != nil {
			return replay.Report{}, err
		}
		environ = append(environ, "DATABASE_URL="+d.url)
		c.Options.Database = d.open
	case value(environ, "DATABASE_URL") == "":
		return replay.Report{}, &NoShopError{Data: c.Data}
	}
	return p.rebuild(ctx, environ, c.Options)
}

func hasPart(s datadir.Shop, name string) bool {
	return slices.ContainsFunc(s.Parts, func(p datadir.Part) bool { return p.Name == name })
}

func without(environ []string, prefix string) []string {
	return slices.DeleteFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, prefix) })
}

// value returns a variable's last value, which is the one that counts, or "".
func value(environ []string, name string) (found string) {
	for _, kv := range environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			found = v
		}
	}
	return found
}

// database is a service's database in a shop that runs.
type database struct{ admin, name, password, url string }

func databaseOf(data, service string, running datadir.Shop, environ []string) (d database, err error) {
	own := hasPart(running, "postgres")
	if own {
		state, err := shop.ReadPostgresState(filepath.Join(data, shop.PostgresStateFile))
		if err != nil {
			return d, fmt.Errorf("read where Postgres is: %w", err)
		}
		d.admin = state.AdminURL
	} else if d.admin = value(environ, "DATABASE_URL"); d.admin == "" { // as for up
		return d, &SettingError{errors.New("the shop uses a Postgres server of its own: set DATABASE_URL as for `millrace up`, or name the service's database: --database URL")}
	}
	d.name = shop.DatabaseName(service, own)
	if d.password, err = datadir.ReadSecret(data, shop.DatabaseSecret(service)); err != nil {
		return d, err
	}
	d.url, err = postgres.RoleURL(d.admin, d.name, d.name, d.password)
	return d, err
}

// scratchSuffix names what a dry run makes where there is no database: a place to do all
// of it in, dropped at the end. One that a dry run left behind that was killed is dropped
// by the next.
const scratchSuffix = "_dry_run"

// open makes the database if it is gone.
func (d database) open(ctx context.Context, dryRun bool) (service.RebuildDatabase, error) {
	exists, empty, err := postgres.Look(ctx, d.admin, d.name)
	if err != nil {
		return service.RebuildDatabase{}, err
	}
	scratch := d.name + scratchSuffix
	if err := postgres.Drop(ctx, d.admin, scratch); err != nil {
		return service.RebuildDatabase{}, err
	}
	switch {
	case !dryRun:
		url, err := postgres.Provision(ctx, d.admin, d.name, d.name, d.password)
		return service.RebuildDatabase{URL: url, Made: !exists}, err
	case exists && !empty:
		return service.RebuildDatabase{URL: d.url}, nil
	default:
		url, err := postgres.Provision(ctx, d.admin, scratch, d.name, d.password)
		return service.RebuildDatabase{URL: url, Scratch: true, Release: func() error {
			return postgres.Drop(context.WithoutCancel(ctx), d.admin, scratch)
		}}, err
	}
}
