package shop

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	childside "millrace/internal/part"
	"millrace/pkg/postgres"
)

const (
	databaseVar  = "DATABASE_URL"
	endpointVar  = "OTEL_EXPORTER_OTLP_ENDPOINT"
	headersVar   = "OTEL_EXPORTER_OTLP_HEADERS"
	resourceVar  = "OTEL_RESOURCE_ATTRIBUTES"
	instanceAttr = "service.instance.id"
)

// Memory limits of the Go runtime in a part: soft, for the garbage collector to
// work harder near them.
var memoryLimit = map[string]string{
	"postgres": "16MiB", "mail": "24MiB", "collector": "40MiB", "broker": "64MiB",
	Order: "40MiB", Inventory: "40MiB", Notification: "40MiB",
}

// plan decides what runs, and where.
func (s *Shop) plan() error {
	environ := baseEnviron(s.config.Environ, s.config.Brokers == "")
	common := func(kind string) []string {
		locks, after := []string{s.dir.PartsLock()}, s.dir.ServicesLock()
		if slices.Contains(Services, kind) {
			locks, after = append(locks, s.dir.ServicesLock()), ""
		}
		return environ.with(
			childside.LifelineVar+"=stdin",
			childside.LocksVar+"="+strings.Join(locks, string(os.PathListSeparator)),
			childside.AfterVar+"="+after,
			"GOMEMLIMIT="+memoryLimit[kind],
			"GOMAXPROCS="+processors(s.config.Environ, runtime.NumCPU()))
	}
	var failed []error
	add := func(name string, command []string, args func(*part) []string, env func(*part) []string, wanted ...int) *part {
		p := &part{name: name, command: command, args: args, env: env}
		for _, number := range wanted {
			port, err := pick(name, number, s.log.Say)
			if err != nil {
				failed = append(failed, err)
				port = nil
			}
			p.ports = append(p.ports, port)
		}
		p.ready = httpReady(s.client, p.url)
		file, err := openLogFile(s.dir.Path("logs"), name)
		if err != nil {
			failed = append(failed, err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.byName[name] = p
		s.logs[name] = file
		return p
	}
	env := func(kind string) func(*part) []string { return func(*part) []string { return common(kind) } }

	if s.adminURL = lookup(s.config.Environ, databaseVar); s.adminURL == "" {
		s.postgres = add("postgres", []string{"postgres"}, func(p *part) []string {
			return []string{"--data", s.dir.Path("postgres"), "--listen", p.address(), "--state", s.statePath()}
		}, env("postgres"), portPostgres)
		s.postgres.ready = s.postgresReady
	}
	if s.brokers = s.config.Brokers; s.brokers == "" {
		s.broker = add("broker", []string{"broker"}, func(p *part) []string {
			return []string{
				"--listen", p.address(), "--http", p.ports[1].address(), "--data", s.dir.Path("broker"),
				// Kafka waits 3 s for more members when a group is new; here all members are known to start at once.
				"--set", "group.initial.rebalance.delay.ms=100",
			}
		}, env("broker"), portBroker, portBrokerHTTP)
		s.broker.ready = httpReady(s.client, func() string { return "http://" + s.broker.ports[1].address() })
	}
	s.mail = add("mail", []string{"mail"}, func(p *part) []string {
		return []string{"--http", p.address(), "--smtp", p.ports[1].address(), "--data", s.dir.Path("mail")}
	}, env("mail"), portMail, portSMTP)
	s.collector = add("collector", []string{"collector"}, func(p *part) []string {
		return []string{"--listen", p.address(), "--data", s.dir.Path("traces")}
	}, func(*part) []string {
		return append(common("collector"), "OTEL_EXPORTER_OTLP_ENDPOINT="+lookup(s.config.Environ, endpointVar), "OTEL_EXPORTER_OTLP_HEADERS="+lookup(s.config.Environ, headersVar))
	}, portCollector)

	ports := map[string]int{Order: portOrder, Inventory: portInventory, Notification: portNotification}
	for _, service := range Services {
		for i := range max(1, s.config.Instances[service]) {
			wanted := 0
			if i == 0 {
				wanted = ports[service]
			}
			name := instanceName(service, i)
			s.services = append(s.services, add(name, []string{service}, func(*part) []string { return nil }, func(p *part) []string {
				return append(append(common(service), wrongWayEnviron(service, s.config.WrongWays)...),
					"HTTP_ADDR="+p.address(),
					databaseVar+"="+s.urls[service],
					"KAFKA_BROKERS="+s.bootstrap(),
					"SMTP_ADDR="+s.mail.ports[1].address(),
					endpointVar+"="+s.collector.url(),
					resourceVar+"="+instanceAttr+"="+name)
			}, wanted))
		}
	}
	return errors.Join(failed...)
}

// bootstrap is where the parts find the broker.
func (s *Shop) bootstrap() string {
	if s.broker != nil {
		s.brokers = s.broker.address()
	}
	return s.brokers
}

func (s *Shop) statePath() string { return s.dir.Path("postgres.json") }

// postgresReady looks for the file that the Postgres part writes when its server
// accepts connections. The file of an earlier process does not count.
func (s *Shop) postgresReady(context.Context) error {
	state, err := ReadPostgresState(s.statePath())
	if err != nil {
		return err
	}
	if state.PID != s.postgres.sup.PID() {
		return errors.New("the server is starting")
	}
	s.adminURL = state.AdminURL
	return nil
}

// awaitDatabases waits for Postgres and gives each service a database and a role
// of its own.
func (s *Shop) awaitDatabases(ctx context.Context) error {
	if err := s.await(ctx, postgresTimeout, s.postgres); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	urls := make([]string, len(Services))
	for i, service := range Services {
		password, err := s.dir.Secret("postgres-" + service)
		if err != nil {
			return err
		}
		name := s.databaseName(service)
		group.Go(func() error {
			var err error
			urls[i], err = postgres.Provision(ctx, s.adminURL, name, name, password)
			if err != nil {
				return fmt.Errorf("database of %s: %w", service, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, service := range Services {
		s.urls[service] = urls[i]
	}
	return nil
}

// databaseName keeps out of the way of what a foreign server holds already.
func (s *Shop) databaseName(service string) string {
	if s.postgres != nil {
		return service
	}
	return "millrace_" + service
}

// databaseAddress tells where a foreign Postgres is, without its password.
func (s *Shop) databaseAddress() string {
	u, err := url.Parse(s.adminURL)
	if err != nil {
		return "(" + databaseVar + ")"
	}
	return u.Host
}

// invocation is a command line for the user to type.
func (s *Shop) invocation(args string) string {
	line := s.config.Invocation + " " + args
	if s.config.Data != "" && s.dir.Path() != defaultData() {
		line += " --data " + quote(s.config.Data)
	}
	return line
}

func quote(arg string) string {
	if strings.ContainsAny(arg, " \t\"'$&;()<>|*?`\\") {
		return strconv.Quote(arg)
	}
	return arg
}

func defaultData() string {
	wd, err := os.Getwd()
	if err != nil {
		return ""
	}
	return wd + string(os.PathSeparator) + ".millrace"
}
