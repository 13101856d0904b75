package httpapi

import (
	"log/slog"
	"net/http"

	"millrace/pkg/fault"
	"millrace/pkg/postgres"
	"millrace/pkg/problem"
	"millrace/services/order"
)

// problems is the one table from error to status. What requests alone can get
// wrong (JSON, media type, size, parameters) is in package problem; what neither
// has is an internal error.
func problems(log *slog.Logger) *problem.Table {
	return problem.NewTable(log,
		problem.As(problem.Kind{
			Slug: "invalid-order", Status: http.StatusUnprocessableEntity, Title: "The order breaks a rule",
			Help: "The body has the right form, but the shop cannot take such an order. Each error names a field and the rule.",
		}, func(e *order.InvalidError) (string, []problem.Violation) {
			list := make([]problem.Violation, len(e.Violations))
			for i, v := range e.Violations {
				list[i] = problem.Violation{Pointer: v.Pointer, Rule: v.Rule, Detail: v.Detail}
			}
			return "", list
		}),
		problem.Is(order.ErrKeyReused, problem.Kind{
			Slug: "idempotency-key-reused", Status: http.StatusUnprocessableEntity, Title: "The Idempotency-Key was used for another order",
			Help: "A key stands for one request. Repeat that very request to get its answer again, or choose a new key.",
		}),
		problem.Is(order.ErrNotFound, problem.Kind{
			Slug: "order-not-found", Status: http.StatusNotFound, Title: "There is no such order",
			Help: "No order has this id. GET /orders lists those that exist.",
		}),
		problem.As(problem.Kind{
			Slug: "injected-fault", Status: http.StatusServiceUnavailable, Title: "The service was made to fail on purpose", RetryAfter: 1,
			Help: "A fault is set at /admin/faults of this service: DELETE it there, or run `millrace fault clear`. Nothing was stored.",
		}, func(e *fault.InjectedError) (string, []problem.Violation) { return e.Error(), nil }),
		problem.Rule{Kind: problem.Starved, Match: func(err error) (string, []problem.Violation, bool) {
			return "", nil, postgres.IsTransient(err)
		}},
	)
}
