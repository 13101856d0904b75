package shop

import (
	"cmp"
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
	clientVar    = "KAFKA_CLIENT_ID"
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
	s.parent = baseEnviron(s.config.Environ, s.config.Brokers == "")
	env := func(p *part) []string { return s.common(p) }
	var failed []error
	add := func(p *part, wanted ...int) *part {
		failed = append(failed, s.add(p, wanted...))
		return p
	}
	if s.adminURL = lookup(s.config.Environ, databaseVar); s.adminURL == "" {
		s.postgres = add(&part{name: "postgres", drain: postgresStop, command: []string{"postgres"}, args: func(p *part) []string {
			return []string{"--data", s.dir.Path("postgres"), "--listen", p.address(), "--state", s.statePath()}
		}, env: env}, portPostgres)
		s.postgres.ready = s.postgresReady
	}
	if s.brokers = s.config.Brokers; s.brokers == "" {
		command := []string{"broker"}
		if s.config.Faults {
			command = append(command, "--faults")
		}
		s.broker = add(&part{name: "broker", drain: brokerTimeout, command: command, args: func(p *part) []string {
			return []string{
				"--listen", p.address(), "--http", p.ports[1].address(), "--data", s.dir.Path("broker"),
				// Kafka waits 3 s for more members when a group is new; here all members are known to start at once.
				"--set", "group.initial.rebalance.delay.ms=100",
			}
		}, env: env}, portBroker, portBrokerHTTP)
		s.broker.http = func() string { return "http://" + s.broker.ports[1].address() }
		s.broker.ready = httpReady(s.client, s.broker.http)
	}
	s.mail = add(&part{name: "mail", drain: helperTimeout, command: []string{"mail"}, args: func(p *part) []string {
		return []string{"--http", p.address(), "--smtp", p.ports[1].address(), "--data", s.dir.Path("mail")}
	}, env: env}, portMail, portSMTP)
	s.mail.http = s.mail.url
	s.collector = add(&part{name: "collector", drain: helperTimeout, command: []string{"collector"}, args: func(p *part) []string {
		return []string{"--listen", p.address(), "--data", s.dir.Path("traces")}
	}, env: func(p *part) []string {
		return append(s.common(p), endpointVar+"="+lookup(s.config.Environ, endpointVar), headersVar+"="+lookup(s.config.Environ, headersVar))
	}}, portCollector)
	s.collector.http = s.collector.url

	ports := map[string]int{Order: portOrder, Inventory: portInventory, Notification: portNotification}
	for _, service := range Services {
		for i := range max(1, s.config.Instances[service]) {
			wanted := 0
			if i == 0 {
				wanted = ports[service]
			}
			failed = append(failed, s.addInstance(s.newInstance(service, i), wanted))
		}
	}
	return errors.Join(failed...)
}

// newInstance is an instance of a service that is not part of the shop yet.
func (s *Shop) newInstance(service string, i int) *part {
	name := instanceName(service, i)
	p := &part{name: name, service: service, drain: drainTimeout, command: []string{service}, args: func(*part) []string { return nil }}
	p.http = p.url
	p.env = func(p *part) []string {
		return append(append(s.common(p), wrongWayEnviron(service, s.config.WrongWays)...),
			"HTTP_ADDR="+p.address(),
			databaseVar+"="+s.urls[service],
			"KAFKA_BROKERS="+s.bootstrap(),
			clientVar+"="+cmp.Or(lookup(s.parent, clientVar), name), // tells the members of a group apart
			"SMTP_ADDR="+s.mail.ports[1].address(),
			endpointVar+"="+s.collector.url(),
			resourceVar+"="+instanceAttr+"="+name)
	}
	return p
}

// add makes a part known, holds its ports and opens its log.
func (s *Shop) add(p *part, wanted ...int) error {
	var failed []error
	for _, number := range wanted {
		if s.config.OtherPorts {
			number = 0
		}
		port, err := pick(p.name, number, s.log.Say)
		if err != nil {
			failed = append(failed, err)
			port = nil
		}
		p.ports = append(p.ports, port)
	}
	p.ready = httpReady(s.client, p.url)
	file, err := openLogFile(s.dir.Path("logs"), p.name)
	if err != nil {
		failed = append(failed, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byName[p.name] = p
	s.logs[p.name] = file
	return errors.Join(failed...)
}

// addInstance adds an instance of a service behind the others of it.
func (s *Shop) addInstance(p *part, wanted int) error {
	err := s.add(p, wanted)
	s.mu.Lock()
	defer s.mu.Unlock()
	at := len(s.services)
	for i, other := range s.services {
		if other.service == p.service {
			at = i + 1
		}
	}
	s.services = slices.Insert(s.services, at, p)
	return err
}

// common is the part of the environment that all parts have.
func (s *Shop) common(p *part) []string {
	kind := cmp.Or(p.service, p.name)
	locks, after := []string{s.dir.PartsLock()}, s.dir.ServicesLock()
	if p.service != "" {
		locks, after = append(locks, s.dir.ServicesLock()), ""
	}
	env := s.parent.with(
		childside.LifelineVar+"=stdin",
		childside.LocksVar+"="+strings.Join(locks, string(os.PathListSeparator)),
		childside.AfterVar+"="+after,
		"GOMEMLIMIT="+memoryLimit[kind],
		"GOMAXPROCS="+processors(s.config.Environ, runtime.NumCPU()))
	if s.config.Faults {
		env = append(env, "FAULTS_ENABLED=true")
		if rules := s.config.FaultRules[p.name]; rules != "" && !p.begun {
			env = append(env, "FAULTS="+rules)
		}
	}
	return env
}

// bootstrap is where the parts find the broker.
func (s *Shop) bootstrap() string {
	if s.broker != nil {
		return s.broker.address()
	}
	return s.brokers
}

func (s *Shop) statePath() string { return s.dir.Path(PostgresStateFile) }

// postgresReady looks for the file that the Postgres part writes when its server
// accepts connections. The file of an earlier process does not count.
func (s *Shop) postgresReady(context.Context) error {
	state, err := ReadPostgresState(s.statePath())
	if err != nil {
		return err
	}
	if state.PID != s.postgres.pid() {
		return errors.New("the server is starting")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.adminURL = state.AdminURL
	return nil
}

// awaitDatabases waits for Postgres and gives each service a database and a role
// of its own.
func (s *Shop) awaitDatabases(ctx context.Context) error {
	if err := s.await(ctx, postgresTimeout, s.postgres); err != nil {
		return err
	}
	s.mu.Lock()
	adminURL := s.adminURL
	s.mu.Unlock()
	group, ctx := errgroup.WithContext(ctx)
	urls := make([]string, len(Services))
	for i, service := range Services {
		password, err := s.dir.Secret(DatabaseSecret(service))
		if err != nil {
			return err
		}
		name := s.databaseName(service)
		group.Go(func() error {
			var err error
			urls[i], err = postgres.Provision(ctx, adminURL, name, name, password)
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
	return DatabaseName(service, s.postgres != nil)
}

// DatabaseName is the name of a service's database, and of its role, on a server of
// our own or on a foreign one.
func DatabaseName(service string, ownServer bool) string {
	if ownServer {
		return service
	}
	return "millrace_" + service
}

// DatabaseSecret is the name of the password of a service's role.
func DatabaseSecret(service string) string { return "postgres-" + service }

// PostgresStateFile is where the state of the Postgres part lies in the data folder.
const PostgresStateFile = "postgres.json"

// databaseAddress tells where a foreign Postgres is, without its password.
func (s *Shop) databaseAddress() string {
	s.mu.Lock()
	defer s.mu.Unlock()
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
