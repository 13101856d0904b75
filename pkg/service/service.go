// Package service is what the programs of the shop have in common: settings from
// the environment, a start that waits for Postgres and for the broker while it
// says so at /readyz, and a stop that finishes what is in hand.
//
//	start   telemetry → listener (/healthz answers from here on) → Postgres →
//	        migrations → Build → the API answers, components run
//	stop    ctx ends → /readyz says 503; after ShutdownDelay no new requests →
//	        intake: HTTP and consumers finish what is in hand →
//	        outflow: relays → publisher, pool, spans
package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"golang.org/x/sync/errgroup"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/fault/faultapi"
	"millrace/pkg/messaging"
	"millrace/pkg/messaging/deadletters"
	"millrace/pkg/messaging/outbox"
	"millrace/pkg/messaging/parking"
	"millrace/pkg/postgres"
	"millrace/pkg/problem"
	"millrace/pkg/telemetry"
)

// Program is one service.
type Program struct {
	Name string
	// HTTPAddr is where to listen, unless Config has a listener.
	HTTPAddr   string
	Config     Config
	Migrations []postgres.Migrations
	// FaultPoints are the places where the program can be made to fail, once faults are enabled.
	FaultPoints []fault.Point
	// Build makes the parts. It runs once the database is there and migrated.
	Build func(env *Env) (Parts, error)
}

// Env is what Build gets to build with. It outlives all parts.
type Env struct {
	Config     Config
	Pool       *pgxpool.Pool
	Publisher  *messaging.Publisher
	Outbox     *outbox.Writer
	Telemetry  *telemetry.Telemetry
	Log        *slog.Logger
	Registerer prometheus.Registerer
	// Faults is nil unless faults are enabled, which is valid: nothing goes wrong then.
	Faults *fault.Set

	construct constructors
}

// Component runs until its context ends. Ready may be nil.
type Component struct {
	Name  string
	Run   func(ctx context.Context) error
	Ready func(ctx context.Context) error
}

// Parts are what a service consists of.
type Parts struct {
	// API answers what /healthz, /readyz and /metrics do not; nil: nothing does.
	API http.Handler
	// Intake takes work in; it is stopped first, together with HTTP.
	Intake []Component
	// Outflow sends results out; it is stopped when the intake is still.
	Outflow []Component
}

// Consumer takes the messages of a group. [messaging.Consumer] is the one that services run with.
type Consumer interface {
	Handle(topic string, h messaging.Handler)
	Run(ctx context.Context) error
	Ready(ctx context.Context) error
}

// Consumer returns a consumer with the program's settings, for a group.
func (e *Env) Consumer(group string) (Consumer, error) { return e.construct.consumer(e, group) }

// Relay returns the component that publishes the service's outbox.
func (e *Env) Relay() (Component, error) { return e.construct.relay(e, e.EventPublisher()) }

// DeadLetters returns the component that measures the dead letters of a group.
func (e *Env) DeadLetters(group string) (Component, error) {
	c := deadletters.Config{Kafka: e.Config.Kafka, Group: group, Logger: e.Log, Registerer: e.Registerer}
	for _, s := range events.Subscriptions() {
		if s.Group == group {
			c.Topics = append(c.Topics, s.Topic)
		}
	}
	watch, err := deadletters.New(c)
	if err != nil {
		return Component{}, err
	}
	return Component{Name: "dead letters", Run: watch.Run}, nil
}

// databaseIsAway tells whether an error came about because Postgres is away, or hangs.
func (e *Env) databaseIsAway(ctx context.Context, err error) bool {
	const patience = time.Second
	if !postgres.IsTransient(err) {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return e.Pool.Ping(ctx) != nil
}

// EventPublisher is what events go out by.
func (e *Env) EventPublisher() message.Publisher { return e.construct.publisher(e) }

// constructors make the parts that a program need not make by itself.
type constructors struct {
	consumer  func(e *Env, group string) (Consumer, error)
	publisher func(e *Env) message.Publisher
	relay     func(e *Env, p message.Publisher) (Component, error)
}

// rightWay is what every service is made of, unless WRONG_WAYS asks for something else.
var rightWay = constructors{
	consumer: func(e *Env, group string) (Consumer, error) {
		config := messaging.ConsumerConfig{
			Kafka: e.Config.Kafka, Group: group, DeadLetters: e.Publisher,
			Retry: e.Config.Retry, Away: e.databaseIsAway, DrainTimeout: e.Config.DrainTimeout, Faults: e.Faults,
			Logger: e.Log, TracerProvider: e.Telemetry.TracerProvider, Registerer: e.Registerer,
		}
		if e.Config.ParkKeys {
			config.Parking = parking.NewStore(e.Pool)
		}
		c, err := messaging.NewConsumer(config)
		if err != nil {
			return nil, err
		}
		return c, nil
	},
	publisher: func(e *Env) message.Publisher { return e.Publisher },
	relay: func(e *Env, p message.Publisher) (Component, error) {
		relay, err := outbox.NewRelay(outbox.RelayConfig{
			Pool: e.Pool, Publisher: p, Faults: e.Faults, Logger: e.Log, Registerer: e.Registerer,
		})
		if err != nil {
			return Component{}, err
		}
		return Component{Name: "relay", Run: relay.Run, Ready: relay.Ready}, nil
	},
}

// Run runs a program until ctx ends, and returns nil after an orderly stop.
func Run(ctx context.Context, p Program) (err error) {
	logs := p.Config.Logs
	if logs == nil {
		logs = os.Stderr
	}
	tel, err := telemetry.New(ctx, p.Config.Telemetry, p.Name, logs)
	if err != nil {
		return fmt.Errorf("set up telemetry: %w", err)
	}
	s := &server{program: p, telemetry: tel, log: tel.Logger}
	defer s.releaseTelemetry(ctx)
	if s.faults, err = p.Config.Faults.NewSet(s.log, tel.Registry, p.FaultPoints...); err != nil {
		return err
	}
	construct, err := s.takeWrongWays(ctx)
	if err != nil {
		return err
	}
	s.construct = construct
	listener := p.Config.Listener
	if listener == nil {
		if listener, err = net.Listen("tcp", p.HTTPAddr); err != nil {
			return fmt.Errorf("HTTP_ADDR %q: %w", p.HTTPAddr, err)
		}
	}
	if err := s.run(ctx, listener); err != nil {
		return err
	}
	s.log.InfoContext(ctx, "stopped")
	return nil
}

// server is one run of a program.
type server struct {
	program   Program
	telemetry *telemetry.Telemetry
	log       *slog.Logger
	faults    *fault.Set
	construct constructors
	built     atomic.Pointer[built] // nil until Build is done
}

// built is what there is once Build is done.
type built struct {
	pool  *pgxpool.Pool
	api   http.Handler
	parts Parts
}

// patience bounds what is done after the drain: leaving groups, closing, flushing.
const patience = 5 * time.Second

func (s *server) run(ctx context.Context, listener net.Listener) error {
	// Work is cut off when a part fails. A stop that was asked for is passed on to
	// the intake at once and to the outflow only when the intake is still.
	work, cutOff := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cutOff(nil)
	intakeCtx, stopIntake := context.WithCancel(work)
	defer stopIntake()
	defer context.AfterFunc(ctx, stopIntake)()

	intake, outflow := &errgroup.Group{}, &errgroup.Group{}
	start := func(group *errgroup.Group, ctx context.Context, c Component) {
		group.Go(func() error {
			err := c.Run(ctx)
			if err == nil && ctx.Err() == nil {
				err = errors.New("ended by itself")
			}
			if err == nil || ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return nil
			}
			err = fmt.Errorf("%s: %w", c.Name, err)
			cutOff(err)
			return err
		})
	}
	s.log.InfoContext(ctx, "listening", "address", listener.Addr().String())
	httpCtx, stopHTTP := s.outlive(intakeCtx, work)
	defer stopHTTP()
	start(intake, intakeCtx, Component{Name: "http", Run: func(context.Context) error {
		return telemetry.Serve(httpCtx, listener, s.handler(ctx), s.program.Config.DrainTimeout, s.log)
	}})

	env, release, err := s.build(intakeCtx)
	defer release()
	if err != nil {
		if ctx.Err() == nil { // not merely interrupted by the stop
			cutOff(err)
		}
	} else {
		b := s.built.Load()
		outflowCtx, stopOutflow := context.WithCancel(work)
		defer stopOutflow()
		for _, c := range b.parts.Outflow {
			start(outflow, outflowCtx, c)
		}
		for _, c := range b.parts.Intake {
			start(intake, intakeCtx, c)
		}
		s.log.InfoContext(ctx, "started", "database", env.Pool.Config().ConnConfig.Database)
		err = intake.Wait()
		stopOutflow()
		return cmp.Or(context.Cause(work), err, outflow.Wait())
	}
	return cmp.Or(intake.Wait(), context.Cause(work))
}

// outlive returns a context that ends ShutdownDelay after intake does, never before it, or
// at once when the work is cut off.
func (s *server) outlive(intake, work context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(work))
	stop := context.AfterFunc(intake, func() {
		if delay := s.program.Config.ShutdownDelay; delay > 0 && work.Err() == nil {
			s.log.InfoContext(ctx, "told to stop, still answering", "for", delay)
			select {
			case <-time.After(delay):
			case <-work.Done():
			}
		}
		cancel()
	})
	return ctx, func() { stop(); cancel() }
}

// build waits for the database and makes the parts. release closes what they use.
func (s *server) build(ctx context.Context) (env *Env, release func(), err error) {
	release = func() {}
	c := s.program.Config
	pool, err := postgres.Open(ctx, c.Postgres, postgres.Options{
		Logger: s.log, TracerProvider: s.telemetry.TracerProvider, Registerer: s.telemetry.Registry,
	})
	if err != nil {
		return nil, release, fmt.Errorf("open the database: %w", err)
	}
	release = pool.Close
	if err := s.migrate(ctx, pool); err != nil {
		return nil, release, fmt.Errorf("migrate the database: %w", err)
	}
	publisher, err := messaging.NewPublisher(c.Kafka, messaging.PublisherOptions{
		Logger: s.log, TracerProvider: s.telemetry.TracerProvider, Registerer: s.telemetry.Registry,
	})
	if err != nil {
		return nil, release, fmt.Errorf("set up the publisher: %w", err)
	}
	release = func() {
		if err := publisher.Close(); err != nil {
			s.log.Warn("closing the publisher failed", "error", err)
		}
		pool.Close()
	}
	env = &Env{
		Config: c, Pool: pool, Publisher: publisher, Outbox: outbox.NewWriter(s.telemetry.TracerProvider),
		Telemetry: s.telemetry, Log: s.log, Registerer: s.telemetry.Registry, Faults: s.faults, construct: s.construct,
	}
	parts, err := s.program.Build(env)
	if err != nil {
		return nil, release, err
	}
	b := &built{pool: pool, parts: parts}
	if parts.API != nil {
		b.api = otelhttp.NewHandler(parts.API, "http", // the name until a route is known
			otelhttp.WithTracerProvider(s.telemetry.TracerProvider),
			otelhttp.WithPropagators(propagation.TraceContext{}),
			otelhttp.WithMeterProvider(noop.NewMeterProvider())) // the metrics are Prometheus's
	}
	s.built.Store(b)
	return env, release, nil
}

// migrate migrates, and waits while the database goes away in the middle of it.
func (s *server) migrate(ctx context.Context, pool *pgxpool.Pool) error {
	const pause = 500 * time.Millisecond
	for {
		err := postgres.Migrate(ctx, pool, s.program.Migrations...)
		if err == nil || !postgres.IsTransient(err) {
			return err
		}
		s.log.WarnContext(ctx, "migration interrupted, trying again", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (s *server) releaseTelemetry(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := s.telemetry.Shutdown(ctx); err != nil {
		s.log.Debug("sending the last spans failed", "error", err)
	}
}

// requestTimeout bounds a request, so that a database that hangs does not hang its clients.
const requestTimeout = 10 * time.Second

// Shown at /readyz while the database is waited for, and from the order to stop on.
var (
	errStarting = errors.New("waiting for the database")
	errStopping = errors.New("shutting down")
)

// handler serves the endpoints of operation from the start and the API once it is there.
// When told has ended, each answer asks its client to come on another connection, which
// is how clients that keep theirs learn that they should turn to another instance.
func (s *server) handler(told context.Context) http.Handler {
	mux := http.NewServeMux()
	checks := []telemetry.Check{{Name: "postgres", Ready: func(ctx context.Context) error {
		b := s.built.Load()
		if b == nil {
			return errStarting
		}
		return b.pool.Ping(ctx)
	}}, {Name: "parts", Ready: func(ctx context.Context) error {
		if told.Err() != nil {
			return errStopping
		}
		b := s.built.Load()
		if b == nil {
			return errStarting
		}
		var errs []error
		for _, list := range [][]Component{b.parts.Intake, b.parts.Outflow} {
			for _, c := range list {
				if c.Ready == nil {
					continue
				}
				if err := c.Ready(ctx); err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", c.Name, err))
				}
			}
		}
		return errors.Join(errs...)
	}}}
	s.telemetry.Handle(mux, checks...)
	faults := faultapi.New(s.faults, s.log)
	mux.Handle(faultapi.Path, faults)
	mux.Handle(faultapi.Path+"/", faults)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		switch b := s.built.Load(); {
		case b == nil:
			problem.Unavailable(w, errStarting.Error())
		case b.api == nil:
			problem.NotFound(w, r)
		default:
			ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
			defer cancel()
			b.api.ServeHTTP(w, r.WithContext(ctx))
		}
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if told.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		mux.ServeHTTP(w, r)
	})
}
