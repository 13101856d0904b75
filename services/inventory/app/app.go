// Package app puts the inventory service together.
package app

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/service"
	"millrace/services/inventory"
	"millrace/services/inventory/consumer"
	"millrace/services/inventory/httpapi"
	"millrace/services/inventory/postgres"
)

// Run runs the service until ctx ends, and returns nil after an orderly stop.
func Run(ctx context.Context, c Config) error {
	return service.Run(ctx, service.Program{
		Name: "inventory", HTTPAddr: c.HTTPAddr, Config: c.Config,
		Migrations: postgres.Migrations(), FaultPoints: faultPoints(), Build: build,
	})
}

func faultPoints() []fault.Point {
	return slices.Concat([]fault.Point{fault.EffectBeforeCommit, fault.EffectAfterCommit}, fault.RelayPoints(), fault.ConsumerPoints())
}

func build(env *service.Env) (service.Parts, error) {
	store := postgres.NewStore(env.Pool, env.Outbox, env.Faults, time.Now)
	api := http.NewServeMux()
	httpapi.Register(api, store, env.Log)

	orders, err := env.Consumer(events.GroupInventory)
	if err != nil {
		return service.Parts{}, err
	}
	orders.Handle(events.TopicOrders, consumer.Orders(store, env.Log, countDecisions(env.Registerer)))
	letters, err := env.DeadLetters(events.GroupInventory)
	if err != nil {
		return service.Parts{}, err
	}
	relay, err := env.Relay()
	if err != nil {
		return service.Parts{}, err
	}
	return service.Parts{
		API: api,
		Intake: []service.Component{
			{Name: "consumer", Run: orders.Run, Ready: orders.Ready},
			service.Janitor(env.Log, env.ForgetMessages),
			letters,
		},
		Outflow: []service.Component{relay},
	}, nil
}

// countDecisions returns what counts reservations by their result.
func countDecisions(r prometheus.Registerer) func(inventory.Reservation) {
	decisions := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_reservations_total", Help: "Decisions about orders, by result and reason.",
	}, []string{"status", "reason"})
	r.MustRegister(decisions)
	for _, reason := range []events.Reason{"", events.ReasonInsufficientStock, events.ReasonUnknownProduct} {
		status := inventory.Rejected
		if reason == "" {
			status = inventory.Reserved
		}
		decisions.WithLabelValues(string(status), string(reason)) // zero is a value, absence is none
	}
	return func(r inventory.Reservation) {
		reason := ""
		if r.Refusal != nil {
			reason = string(r.Refusal.Reason)
		}
		decisions.WithLabelValues(string(r.Status()), reason).Inc()
	}
}
