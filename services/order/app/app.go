// Package app puts the order service together.
package app

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/service"
	"millrace/services/order"
	"millrace/services/order/consumer"
	"millrace/services/order/httpapi"
	"millrace/services/order/postgres"
)

// Run runs the service until ctx ends, and returns nil after an orderly stop.
func Run(ctx context.Context, c Config) error {
	return service.Run(ctx, service.Program{
		Name: "order", HTTPAddr: c.HTTPAddr, Config: c.Config,
		Migrations: postgres.Migrations(), FaultPoints: faultPoints(),
		Build: func(env *service.Env) (service.Parts, error) { return build(env, c) },
	})
}

func faultPoints() []fault.Point {
	return slices.Concat(
		[]fault.Point{fault.OrderBeforeCommit, fault.OrderAfterCommit, fault.EffectBeforeCommit, fault.EffectAfterCommit},
		fault.RelayPoints(), fault.ConsumerPoints())
}

func build(env *service.Env, c Config) (service.Parts, error) {
	m := newMetrics(env.Registerer)
	store := newStore(env)
	shop := order.Shop{
		Store:   m.counted(store),
		NewID:   func() string { return uuid.Must(uuid.NewV7()).String() }, // fails only without random numbers
		Now:     time.Now,
		TraceID: traceID,
	}
	api := http.NewServeMux()
	httpapi.Register(api, shop, env.Log)

	outcomes, err := env.Consumer(events.GroupOrder)
	if err != nil {
		return service.Parts{}, err
	}
	outcomes.Handle(events.TopicInventory, consumer.Outcomes(store, env.Log, m.entered))
	letters, err := env.DeadLetters(events.GroupOrder)
	if err != nil {
		return service.Parts{}, err
	}
	relay, err := env.Relay()
	if err != nil {
		return service.Parts{}, err
	}
	forgetKeys := func(ctx context.Context) error {
		_, err := store.ForgetKeys(ctx, c.IdempotencyKeep)
		return err
	}
	return service.Parts{
		API: api,
		Intake: []service.Component{
			{Name: "consumer", Run: outcomes.Run, Ready: outcomes.Ready},
			service.Janitor(env.Log, env.ForgetMessages, forgetKeys),
			letters,
		},
		Outflow: []service.Component{relay},
	}, nil
}

// store keeps orders. [postgres.Store] is the one that the service runs with.
type store interface {
	order.Store
	consumer.Store
	ForgetKeys(ctx context.Context, keep time.Duration) (int64, error)
}

func rightStore(env *service.Env) store {
	return postgres.NewStore(env.Pool, env.Outbox, env.Faults, time.Now)
}

func traceID(ctx context.Context) string {
	if s := trace.SpanContextFromContext(ctx); s.IsSampled() {
		return s.TraceID().String()
	}
	return ""
}

// metrics counts orders by the state that they enter.
type metrics struct{ orders *prometheus.CounterVec }

func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{orders: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_orders_total", Help: "Orders that entered a state, by that state.",
	}, []string{"status"})}
	for _, s := range order.Statuses {
		m.orders.WithLabelValues(string(s)) // zero is a value, absence is none
	}
	r.MustRegister(m.orders)
	return m
}

func (m metrics) entered(s order.Status) { m.orders.WithLabelValues(string(s)).Inc() }

// counted counts the orders that a store takes.
func (m metrics) counted(s order.Store) order.Store { return countingStore{s, m} }

type countingStore struct {
	order.Store
	metrics metrics
}

func (s countingStore) Insert(ctx context.Context, o order.Order, key order.Key) (order.Order, error) {
	placed, err := s.Store.Insert(ctx, o, key)
	if err == nil && placed.ID == o.ID { // not one that was placed before under the same key
		s.metrics.entered(order.Pending)
	}
	return placed, err
}
