// Package httpapi serves orders over HTTP, as openapi.yaml beside it says.
//
//	POST /orders         place an order            201, Location
//	GET  /orders         newest first, in pages    200
//	GET  /orders/{order_id} one order                 200
//	GET  /products       the catalogue             200
//	GET  /openapi.yaml   this, as a document; also /openapi.json
//	GET  /problems/{slug} what a kind of problem means
//
// Whatever goes wrong is answered with problem details (RFC 9457); the one table
// from error to status is in problems.go.
package httpapi

import (
	"context"
	_ "embed" // for the document
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/problem"
	"millrace/services/order"
)

// Shop is what the API needs of the service; order.Shop has it.
type Shop interface {
	Place(ctx context.Context, r order.Request, idempotencyKey string) (order.Order, error)
	Order(ctx context.Context, id string) (order.Order, error)
	List(ctx context.Context, f order.Filter) ([]order.Order, error)
	Catalogue(ctx context.Context) (order.Catalogue, error)
}

// The document in both forms. The second is made of the first by the test's -update.
var (
	//go:embed openapi.yaml
	openAPIYAML []byte
	//go:embed openapi.json
	openAPIJSON []byte
)

// OrderIDAttribute is the span attribute by which an order's trace is found.
const OrderIDAttribute = attribute.Key("order.id")

type api struct {
	shop     Shop
	problems *problem.Table
	log      *slog.Logger
}

// Register adds the routes to a mux.
func Register(mux *http.ServeMux, shop Shop, log *slog.Logger) {
	a := &api{shop: shop, problems: problems(log), log: log}
	for path, methods := range a.routes() {
		mux.Handle(path, methods)
	}
	mux.HandleFunc("/", problem.NotFound)
}

func (a *api) routes() map[string]problem.Methods {
	return map[string]problem.Methods{
		"/orders":            {http.MethodGet: a.list, http.MethodPost: a.create},
		"/orders/{order_id}": {http.MethodGet: a.get},
		"/products":          {http.MethodGet: a.products},
		"/openapi.yaml":      {http.MethodGet: document("application/yaml", openAPIYAML)},
		"/openapi.json":      {http.MethodGet: document("application/json", openAPIJSON)},
		"/problems/{slug}":   {http.MethodGet: a.problems.Help},
	}
}

func document(contentType string, text []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(text)
	}
}

func (a *api) create(w http.ResponseWriter, r *http.Request) {
	key, err := idempotencyKey(r.Header)
	if err != nil {
		a.problems.Answer(w, r, err)
		return
	}
	request, err := readRequest(w, r)
	if err != nil {
		a.problems.Answer(w, r, err)
		return
	}
	o, err := a.shop.Place(r.Context(), request, key)
	if answerLost(err) {
		panic(http.ErrAbortHandler) // closes the connection
	}
	if err != nil {
		a.problems.Answer(w, r, err)
		return
	}
	markOrder(r.Context(), o.ID)
	a.log.InfoContext(r.Context(), "order placed", "order_id", o.ID, "customer_id", o.CustomerID)
	w.Header().Set("Location", "/orders/"+o.ID)
	writeJSON(w, http.StatusCreated, newOrderBody(o))
}

// answerLost tells whether a fault was injected after the order was stored: then the
// client must not hear of it, neither of the order nor of the fault.
func answerLost(err error) bool {
	var injected *fault.InjectedError
	return errors.As(err, &injected) && injected.Point == fault.OrderAfterCommit
}

func (a *api) get(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("order_id")
	markOrder(r.Context(), id)
	o, err := a.shop.Order(r.Context(), id)
	if err != nil {
		a.problems.Answer(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, newOrderBody(o))
}

func (a *api) list(w http.ResponseWriter, r *http.Request) {
	filter, err := readFilter(r.URL.Query())
	if err != nil {
		a.problems.Answer(w, r, err)
		return
	}
	wanted := filter.Limit
	filter.Limit++ // one more tells whether there is a next page
	orders, err := a.shop.List(r.Context(), filter)
	if err != nil {
		a.problems.Answer(w, r, err)
		return
	}
	page := pageBody{Orders: make([]orderBody, 0, len(orders))}
	if len(orders) > wanted {
		orders = orders[:wanted]
		page.NextCursor = orders[wanted-1].ID
	}
	for _, o := range orders {
		page.Orders = append(page.Orders, newOrderBody(o))
	}
	writeJSON(w, http.StatusOK, page)
}

func (a *api) products(w http.ResponseWriter, r *http.Request) {
	catalogue, err := a.shop.Catalogue(r.Context())
	if err != nil {
		a.problems.Answer(w, r, err)
		return
	}
	products := catalogue.Products()
	body := productsBody{Products: make([]productBody, len(products))}
	for i, p := range products {
		body.Products[i] = productBody{ProductID: p.ID, Name: p.Name, Price: p.Price}
	}
	writeJSON(w, http.StatusOK, body)
}

// markOrder makes the request's trace one that can be found by the order.
func markOrder(ctx context.Context, id string) {
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(OrderIDAttribute.String(id))
	}
}

type orderBody struct {
	OrderID    string       `json:"order_id"`
	CustomerID string       `json:"customer_id"`
	Status     order.Status `json:"status"`
	Reason     string       `json:"reason,omitempty"`
	Items      []itemBody   `json:"items"`
	Total      events.Money `json:"total"`
	TraceID    string       `json:"trace_id,omitempty"`
	CreatedAt  time.Time    `json:"created_at"`
	UpdatedAt  time.Time    `json:"updated_at"`
}

type itemBody struct {
	ProductID string       `json:"product_id"`
	Quantity  int64        `json:"quantity"`
	UnitPrice events.Money `json:"unit_price"`
}

type pageBody struct {
	Orders     []orderBody `json:"orders"`
	NextCursor string      `json:"next_cursor,omitempty"`
}

type productBody struct {
	ProductID string       `json:"product_id"`
	Name      string       `json:"name"`
	Price     events.Money `json:"price"`
}

type productsBody struct {
	Products []productBody `json:"products"`
}

func newOrderBody(o order.Order) orderBody {
	b := orderBody{
		OrderID: o.ID, CustomerID: o.CustomerID, Status: o.Status, Reason: o.Reason,
		Items: make([]itemBody, len(o.Items)), Total: o.Total, TraceID: o.TraceID,
		CreatedAt: o.CreatedAt.UTC(), UpdatedAt: o.UpdatedAt.UTC(),
	}
	for i, item := range o.Items {
		b.Items[i] = itemBody{ProductID: item.ProductID, Quantity: item.Quantity, UnitPrice: item.UnitPrice}
	}
	return b
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
