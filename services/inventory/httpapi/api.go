// Package httpapi shows stock and reservations over HTTP, and lets an operator set
// the stock.
//
//	GET  /stock                        all products
//	GET  /stock/{product_id}           one
//	PUT  /stock/{product_id}           {"available": 100}: sets it, whatever it was
//	GET  /reservations/{order_id}      what was decided about an order
//	GET  /problems/{slug}              what a kind of problem means
//
// Whatever goes wrong is answered with problem details (RFC 9457).
package httpapi

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"millrace/pkg/events"
	"millrace/pkg/postgres"
	"millrace/pkg/problem"
	"millrace/services/inventory"
)

// Store is what the API needs; package postgres has it.
type Store interface {
	Stock(ctx context.Context) ([]inventory.Stock, error)
	StockOf(ctx context.Context, productID string) (inventory.Stock, error)
	SetAvailable(ctx context.Context, productID string, available int64) (stock inventory.Stock, created bool, err error)
	Reservation(ctx context.Context, orderID string) (inventory.Reservation, error)
}

type api struct {
	store    Store
	problems *problem.Table
	log      *slog.Logger
}

// Register adds the routes to a mux.
func Register(mux *http.ServeMux, store Store, log *slog.Logger) {
	a := &api{store: store, problems: problems(log), log: log}
	mux.Handle("/stock", problem.Methods{http.MethodGet: a.list})
	mux.Handle("/stock/{product_id}", problem.Methods{http.MethodGet: a.get, http.MethodPut: a.set})
	mux.Handle("/reservations/{order_id}", problem.Methods{http.MethodGet: a.reservation})
	mux.Handle("/problems/{slug}", problem.Methods{http.MethodGet: a.problems.Help})
	mux.HandleFunc("/", problem.NotFound)
}

// problems is the one table from error to status.
func problems(log *slog.Logger) *problem.Table {
	return problem.NewTable(log,
		problem.Is(inventory.ErrNoReservation, problem.Kind{
			Slug: "no-reservation", Status: http.StatusNotFound, Title: "The order was not decided on",
			Help: "Either there is no such order, or its event has not been processed yet.",
		}),
		problem.Is(inventory.ErrNoStock, problem.Kind{
			Slug: "no-stock", Status: http.StatusNotFound, Title: "The product was never stocked",
			Help: "GET /stock lists the products that were. PUT /stock/{product_id} stocks a new one.",
		}),
		problem.As(problem.Kind{
			Slug: "invalid-stock", Status: http.StatusUnprocessableEntity, Title: "The stock cannot be set to that",
			Help: "available is a whole number from 0; a product id has 1 to 64 letters, digits, _ and -.",
		}, func(e *invalidError) (string, []problem.Violation) { return "", e.violations }),
		problem.Rule{Kind: problem.Starved, Match: func(err error) (string, []problem.Violation, bool) {
			return "", nil, postgres.IsTransient(err)
		}},
	)
}

// invalidError is returned when a stock breaks rules.
type invalidError struct{ violations []problem.Violation }

func (e *invalidError) Error() string { return inventory.ErrBadStock.Error() }

type stockBody struct {
	ProductID string `json:"product_id"`
	Available int64  `json:"available"`
	Reserved  int64  `json:"reserved"`
}

type reservationBody struct {
	OrderID    string           `json:"order_id"`
	CustomerID string           `json:"customer_id"`
	Status     inventory.Status `json:"status"`
	Items      []events.Item    `json:"items"`
	Refusal    *refusalBody     `json:"refusal,omitempty"`
	DecidedAt  time.Time        `json:"decided_at"`
}

type refusalBody struct {
	Reason    events.Reason `json:"reason"`
	ProductID string        `json:"product_id"`
	Wanted    int64         `json:"wanted"`
	Available int64         `json:"available"`
}

func (a *api) list(w http.ResponseWriter, r *http.Request) {
	stock, err := a.store.Stock(r.Context())
	if err != nil {
		a.problems.Answer(w, r, err)
		return
	}
	body := struct {
		Stock []stockBody `json:"stock"`
	}{make([]stockBody, len(stock))}
	for i, s := range stock {
		body.Stock[i] = stockBody(s)
	}
	writeJSON(w, http.StatusOK, body)
}

func (a *api) get(w http.ResponseWriter, r *http.Request) {
	stock, err := a.store.StockOf(r.Context(), r.PathValue("product_id"))
	if err != nil {
		a.problems.Answer(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, stockBody(stock))
}

func (a *api) set(w http.ResponseWriter, r *http.Request) {
	productID := r.PathValue("product_id")
	available, err := readStock(w, r, productID)
	if err != nil {
		a.problems.Answer(w, r, err)
		return
	}
	stock, created, err := a.store.SetAvailable(r.Context(), productID, available)
	if err != nil {
		a.problems.Answer(w, r, err)
		return
	}
	a.log.InfoContext(r.Context(), "stock set", "product_id", productID, "available", available)
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	writeJSON(w, status, stockBody(stock))
}

func readStock(w http.ResponseWriter, r *http.Request, productID string) (available int64, err error) {
	body, err := problem.Body(w, r)
	if err != nil {
		return 0, err
	}
	body.Object(func(name string) bool {
		if name != "available" {
			return false
		}
		available = body.Int()
		return true
	}, "available")
	if err := body.Err(); err != nil {
		return 0, err
	}
	var broken []problem.Violation
	if !inventory.WellFormedProductID(productID) {
		broken = append(broken, problem.Violation{Parameter: "product_id", Rule: "pattern", Detail: "must have 1 to 64 letters, digits, _ and -"})
	}
	switch {
	case available < 0:
		broken = append(broken, problem.Violation{Pointer: "/available", Rule: "minimum", Detail: "must be 0 or more"})
	case available > inventory.MaxAvailable:
		broken = append(broken, problem.Violation{Pointer: "/available", Rule: "maximum", Detail: "must be at most 1000000000000"})
	}
	if broken != nil {
		return 0, &invalidError{broken}
	}
	return available, nil
}

func (a *api) reservation(w http.ResponseWriter, r *http.Request) {
	reservation, err := a.store.Reservation(r.Context(), r.PathValue("order_id"))
	if err != nil {
		a.problems.Answer(w, r, err)
		return
	}
	body := reservationBody{
		OrderID: reservation.OrderID, CustomerID: reservation.CustomerID, Status: reservation.Status(),
		Items: make([]events.Item, len(reservation.Lines)), DecidedAt: reservation.DecidedAt.UTC(),
	}
	for i, line := range reservation.Lines {
		body.Items[i] = events.Item{ProductID: line.ProductID, Quantity: line.Quantity}
	}
	if reservation.Refusal != nil {
		refusal := refusalBody(*reservation.Refusal)
		body.Refusal = &refusal
	}
	writeJSON(w, http.StatusOK, body)
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil { // none of our bodies can cause it
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // the client may have gone: nobody is left to tell
}
