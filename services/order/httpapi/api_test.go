package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"millrace/pkg/events"
	"millrace/pkg/messaging/outbox"
	"millrace/pkg/postgres/postgrestest"
	"millrace/pkg/problem"
	"millrace/services/order"
	"millrace/services/order/postgres"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// shop is the API on a database of its own.
type shop struct {
	mux      *http.ServeMux
	store    *postgres.Store
	pool     *pgxpool.Pool
	contract contract
}

func newShop(t *testing.T) *shop {
	t.Helper()
	pool := postgrestest.New(t, postgres.Migrations()...)
	s := &shop{mux: http.NewServeMux(), store: postgres.NewStore(pool, outbox.NewWriter(nil), nil, time.Now), pool: pool, contract: readContract(t)}
	Register(s.mux, order.Shop{
		Store: s.store, Now: time.Now, TraceID: func(context.Context) string { return "" },
		NewID: func() string { return uuid.Must(uuid.NewV7()).String() },
	}, slog.New(slog.DiscardHandler))
	return s
}

// call sends a request, and holds the answer against openapi.yaml if it has the path.
// Headers are given as name, value, name, value.
func (s *shop) call(t *testing.T, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return s.do(t, r)
}

func (s *shop) do(t *testing.T, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	answer := httptest.NewRecorder()
	s.mux.ServeHTTP(answer, r)
	_, pattern := s.mux.Handler(r)
	if pattern != "/" && answer.Code != http.StatusMethodNotAllowed && answer.Code != http.StatusNoContent && r.Method != http.MethodHead {
		s.contract.checkAnswer(t, pattern, r.Method, answer)
	}
	return answer
}

func read[T any](t *testing.T, answer *httptest.ResponseRecorder) (body T) {
	t.Helper()
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v in %s", err, answer.Body)
	}
	return body
}

const twoBeans = `{"customer_id":"customer_123","items":[{"product_id":"coffee-beans","quantity":2}]}`

func TestAPI_PlacedOrderCanBeSeen(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	answer := s.call(t, http.MethodPost, "/orders", twoBeans)
	if answer.Code != http.StatusCreated {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	placed := read[orderBody](t, answer)
	if placed.Status != order.Pending || placed.Total != 2500 || !strings.Contains(answer.Body.String(), `"total":25.00`) {
		t.Errorf("placed %s", answer.Body)
	}
	location := answer.Header().Get("Location")
	if location != "/orders/"+placed.OrderID {
		t.Errorf("Location %q", location)
	}
	seen := s.call(t, http.MethodGet, location, "")
	if seen.Code != http.StatusOK || seen.Body.String() != answer.Body.String() {
		t.Errorf("%d\n%s\nwant\n%s", seen.Code, seen.Body, answer.Body)
	}
	if _, err := s.store.Decide(t.Context(), events.GroupOrder, "m", order.Outcome{OrderID: placed.OrderID, Status: order.Rejected, Reason: "INSUFFICIENT_STOCK coffee-beans"}); err != nil {
		t.Fatal(err)
	}
	if rejected := read[orderBody](t, s.call(t, http.MethodGet, location, "")); rejected.Status != order.Rejected || rejected.Reason == "" {
		t.Errorf("rejected %+v", rejected)
	}
}

func TestAPI_ListIsPaged(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var ids []string
	for range 5 {
		ids = append(ids, read[orderBody](t, s.call(t, http.MethodPost, "/orders", twoBeans)).OrderID)
	}
	var seen []string
	pages := 0
	for next := "/orders?status=PENDING&customer_id=customer_123&limit=2"; next != ""; pages++ {
		page := read[pageBody](t, s.call(t, http.MethodGet, next, ""))
		for _, o := range page.Orders {
			seen = append([]string{o.OrderID}, seen...)
		}
		if next = ""; page.NextCursor != "" {
			next = "/orders?status=PENDING&customer_id=customer_123&limit=2&cursor=" + page.NextCursor
		}
	}
	if pages != 3 {
		t.Errorf("%d pages, want 3", pages)
	}
	if fmt.Sprint(seen) != fmt.Sprint(ids) {
		t.Errorf("seen %v, want %v", seen, ids)
	}
	if answer := s.call(t, http.MethodGet, "/orders?status=REJECTED", ""); strings.TrimSpace(answer.Body.String()) != `{"orders":[]}` {
		t.Errorf("no orders: %s", answer.Body)
	}
}

func TestAPI_Products(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	products := read[productsBody](t, s.call(t, http.MethodGet, "/products", "")).Products
	if len(products) < 5 || products[0].ProductID != "coffee-beans" || products[0].Price != 1250 {
		t.Errorf("%+v", products)
	}
}

// Bad input: the status, the kind of problem, and where it is.
func TestAPI_BadInput(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	item := func(item string) string { return `{"customer_id":"c","items":[` + item + `]}` }
	for name, c := range map[string]struct {
		body   string
		status int
		kind   string
		detail string   // part of
		errors []string // pointer and rule
	}{
		"empty body":        {"", 400, "malformed-json", "line 1, column 1: unexpected end", nil},
		"broken":            {"{\n  \"customer_id\": customer\n}", 400, "malformed-json", "line 2, column 18: invalid character 'c'", nil},
		"cut off":           {`{"customer_id":"c"`, 400, "malformed-json", "line 1, column 19: unexpected end", nil},
		"two documents":     {twoBeans + twoBeans, 400, "malformed-json", "column 84", nil},
		"deep":              {strings.Repeat("[", 20000), 400, "malformed-json", "exceeded max depth", nil},
		"no object":         {`[1]`, 400, "unexpected-body", "", []string{" type"}},
		"null":              {`null`, 400, "unexpected-body", "", []string{" type"}},
		"empty object":      {`{}`, 400, "unexpected-body", "", []string{"/customer_id required", "/items required"}},
		"number for text":   {`{"customer_id":1,"items":[]}`, 400, "unexpected-body", "", []string{"/customer_id type"}},
		"object for list":   {`{"customer_id":"c","items":{"a":[1]}}`, 400, "unexpected-body", "", []string{"/items type"}},
		"text for number":   {item(`{"product_id":"kettle","quantity":"2"}`), 400, "unexpected-body", "", []string{"/items/0/quantity type"}},
		"fraction":          {item(`{"product_id":"kettle","quantity":1.5}`), 400, "unexpected-body", "", []string{"/items/0/quantity type"}},
		"unknown field":     {`{"customer_id":"c","items":[],"total":1}`, 400, "unexpected-body", "", []string{"/total additionalProperties"}},
		"unknown inside":    {item(`{"product_id":"kettle","quantity":1,"price/~":{"x":[1]}}`), 400, "unexpected-body", "", []string{"/items/0/price~1~0 additionalProperties"}},
		"twice":             {`{"customer_id":"c","customer_id":"d","items":[]}`, 400, "unexpected-body", "", []string{"/customer_id uniqueNames"}},
		"zero":              {item(`{"product_id":"kettle","quantity":0}`), 422, "invalid-order", "", []string{"/items/0/quantity minimum"}},
		"negative":          {item(`{"product_id":"kettle","quantity":-3}`), 422, "invalid-order", "", []string{"/items/0/quantity minimum"}},
		"too many":          {item(`{"product_id":"kettle","quantity":1001}`), 422, "invalid-order", "", []string{"/items/0/quantity maximum"}},
		"beyond int64":      {item(`{"product_id":"kettle","quantity":99999999999999999999}`), 422, "invalid-order", "", []string{"/items/0/quantity maximum"}},
		"beyond float64":    {item(`{"product_id":"kettle","quantity":-1e400}`), 422, "invalid-order", "", []string{"/items/0/quantity minimum"}},
		"unknown product":   {item(`{"product_id":"moon","quantity":1}`), 422, "invalid-order", "", []string{"/items/0/product_id unknownProduct"}},
		"duplicate product": {item(`{"product_id":"kettle","quantity":1},{"product_id":"kettle","quantity":1}`), 422, "invalid-order", "", []string{"/items/1/product_id uniqueItems"}},
		"no items":          {item(``), 422, "invalid-order", "", []string{"/items minItems"}},
		"too many items":    {item(strings.Repeat(`{"product_id":"kettle","quantity":1},`, 60) + `{"product_id":"kettle","quantity":1}`), 422, "invalid-order", "", []string{"/items maxItems"}},
		"customer":          {`{"customer_id":"a b\r\nBcc: x","items":[{"product_id":"kettle","quantity":1}]}`, 422, "invalid-order", "", []string{"/customer_id pattern"}},
		"too large":         {`{"customer_id":"` + strings.Repeat("a", problem.MaxBody) + `"}`, 413, "body-too-large", "1048576", nil},
	} {
		t.Run(name, func(t *testing.T) {
			answer := s.call(t, http.MethodPost, "/orders", c.body)
			d := read[problem.Details](t, answer)
			var errors []string
			for _, e := range d.Errors {
				errors = append(errors, e.Pointer+" "+e.Rule)
			}
			if answer.Code != c.status || d.Status != c.status || d.Type != "/problems/"+c.kind || !strings.Contains(d.Detail, c.detail) ||
				fmt.Sprint(errors) != fmt.Sprint(c.errors) || answer.Header().Get("Content-Type") != problem.ContentType {
				t.Errorf("%d %s\nwant %d %s %q %v", answer.Code, answer.Body, c.status, c.kind, c.detail, c.errors)
			}
		})
	}
	var n int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM orders`).Scan(&n); n != 0 || err != nil {
		t.Errorf("%d orders of bad input, %v", n, err)
	}
}

// A body of unknown length costs no more than the limit either.
func TestAPI_StreamedBodyIsCutOffAtTheLimit(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	endless := &countingReader{}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/orders", endless)
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = -1
	if answer := s.do(t, r); answer.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	if endless.read > problem.MaxBody+1 {
		t.Errorf("%d bytes read", endless.read)
	}
}

type countingReader struct{ read int }

func (r *countingReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	r.read += len(p)
	return len(p), nil
}

func TestAPI_BrokenOffBody(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/orders", io.LimitReader(&countingReader{}, 10))
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = 20
	if answer := s.do(t, r); answer.Code != http.StatusBadRequest || !strings.Contains(answer.Body.String(), "incomplete-body") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

func TestAPI_MediaTypes(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for contentType, want := range map[string]int{
		"application/json": 201, "application/json; charset=UTF-8": 201, "Application/JSON": 201,
		"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "application/json; charset=latin1": 415, "json": 415,
	} {
		if answer := s.call(t, http.MethodPost, "/orders", twoBeans, "Content-Type", contentType); answer.Code != want {
			t.Errorf("%q: %d, want %d", contentType, answer.Code, want)
		}
	}
	if answer := s.call(t, http.MethodPost, "/orders", twoBeans, "Content-Encoding", "gzip"); answer.Code != 415 {
		t.Errorf("gzip: %d", answer.Code)
	}
}

func TestAPI_BadParameters(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for query, want := range map[string]string{
		"limit=0": "limit range", "limit=201": "limit range", "limit=x": "limit range", "cursor=x": "cursor cursor", "cursor=urn:uuid:019ab1f6-7a3c-7d52-9c0e-6f2a8d4b1c90": "cursor cursor", "customer_id=%00": "customer_id pattern",
		"status=pending": "status enum", "customer_id=a%20b": "customer_id pattern", "page=2": "page unknown", "limit=1&limit=2": "limit single",
	} {
		answer := s.call(t, http.MethodGet, "/orders?"+query, "")
		d := read[problem.Details](t, answer)
		if answer.Code != 400 || len(d.Errors) != 1 || d.Errors[0].Parameter+" "+d.Errors[0].Rule != want {
			t.Errorf("%s: %d %s", query, answer.Code, answer.Body)
		}
	}
}

func TestAPI_NoSuchOrderRouteOrMethod(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for request, want := range map[string]string{
		"GET /orders/" + uuid.NewString(): "404 order-not-found", "GET /orders/x": "404 order-not-found", "GET /nothing": "404 no-such-route",
		"POST /": "404 no-such-route", "GET /orders/a/b": "404 no-such-route", "GET /problems/x": "404 no-such-route",
		"DELETE /orders": "405 method-not-allowed", "PUT /products": "405 method-not-allowed", "PATCH /orders/x": "405 method-not-allowed",
	} {
		method, path, _ := strings.Cut(request, " ")
		answer := s.call(t, method, path, "")
		d := read[problem.Details](t, answer)
		if got := fmt.Sprint(answer.Code, " ", strings.TrimPrefix(d.Type, "/problems/")); got != want || answer.Header().Get("Content-Type") != problem.ContentType {
			t.Errorf("%s: %s, want %s", request, got, want)
		}
	}
	if allow := s.call(t, http.MethodDelete, "/orders", "").Header().Get("Allow"); allow != "GET, HEAD, OPTIONS, POST" {
		t.Errorf("Allow: %s", allow)
	}
	if answer := s.call(t, http.MethodOptions, "/products", ""); answer.Code != 204 || answer.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("OPTIONS: %d %v", answer.Code, answer.Header())
	}
	if answer := s.call(t, http.MethodHead, "/products", ""); answer.Code != 200 {
		t.Errorf("HEAD: %d", answer.Code)
	}
}

// Every kind of problem that the service can answer is explained at its type.
func TestAPI_ProblemsAreExplained(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for _, slug := range []string{"invalid-order", "idempotency-key-reused", "order-not-found", "unavailable", "malformed-json", "unexpected-body",
		"invalid-parameter", "unsupported-media-type", "body-too-large", "incomplete-body", "no-such-route", "method-not-allowed", "internal"} {
		if answer := s.call(t, http.MethodGet, "/problems/"+slug, ""); answer.Code != 200 || answer.Body.Len() < 20 {
			t.Errorf("%s: %d %s", slug, answer.Code, answer.Body)
		}
	}
}

func TestAPI_IdempotencyKey(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	place := func(key, body string) *httptest.ResponseRecorder {
		return s.call(t, http.MethodPost, "/orders", body, "Idempotency-Key", key)
	}
	first := place(`"key-1"`, twoBeans)
	id := read[orderBody](t, first).OrderID
	if _, err := s.store.Decide(t.Context(), events.GroupOrder, "m", order.Outcome{OrderID: id, Status: order.Confirmed}); err != nil {
		t.Fatal(err)
	}
	for name, again := range map[string]*httptest.ResponseRecorder{
		"same": place(`"key-1"`, twoBeans), "bare": place(`key-1`, twoBeans), "other white space": place(`key-1`, strings.ReplaceAll(twoBeans, ":", " : ")),
	} {
		if again.Code != first.Code || again.Body.String() != first.Body.String() || again.Header().Get("Location") != first.Header().Get("Location") {
			t.Errorf("%s: %d %s, first was %d %s", name, again.Code, again.Body, first.Code, first.Body)
		}
	}
	if other := place("key-1", strings.Replace(twoBeans, `"quantity":2`, `"quantity":3`, 1)); other.Code != 422 ||
		read[problem.Details](t, other).Type != "/problems/idempotency-key-reused" {
		t.Errorf("another order: %d %s", other.Code, other.Body)
	}
	if fresh := place("key-2", twoBeans); read[orderBody](t, fresh).OrderID == id {
		t.Error("another key, the same order")
	}
	for _, bad := range []string{`"`, `"a`, `"a"b"`, `a b`, "ü", strings.Repeat("k", 129), `"\x"`, `""`} {
		if answer := place(bad, twoBeans); answer.Code != 400 || read[problem.Details](t, answer).Errors[0].Parameter != "Idempotency-Key" {
			t.Errorf("key %q: %d %s", bad, answer.Code, answer.Body)
		}
	}
	if escaped := place(`"a\"\\b"`, twoBeans); escaped.Code != 201 {
		t.Errorf("escaped key: %d", escaped.Code)
	}
}

func TestAPI_IdempotencyKeyUnderConcurrency(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var (
		wg       sync.WaitGroup
		recorded [20]*httptest.ResponseRecorder
	)
	for i := range recorded {
		body := twoBeans
		if i%4 == 3 {
			body = strings.Replace(twoBeans, `"quantity":2`, `"quantity":3`, 1)
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/orders", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "k")
		recorded[i] = httptest.NewRecorder()
		wg.Go(func() { s.mux.ServeHTTP(recorded[i], r) })
	}
	wg.Wait()
	answers := map[string]int{}
	for _, answer := range recorded {
		answers[fmt.Sprint(answer.Code, answer.Body)]++
		s.contract.checkAnswer(t, "/orders", http.MethodPost, answer)
	}
	if len(answers) != 2 {
		t.Errorf("%d different answers, want one order and one refusal: %v", len(answers), answers)
	}
	var n int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM orders`).Scan(&n); n != 1 || err != nil {
		t.Errorf("%d orders, %v", n, err)
	}
}

func TestAPI_DatabaseAway(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.call(t, http.MethodGet, "/products", "") // the catalogue is remembered
	s.pool.Close()
	for _, answer := range []*httptest.ResponseRecorder{
		s.call(t, http.MethodPost, "/orders", twoBeans), s.call(t, http.MethodGet, "/orders", ""),
	} {
		if answer.Code < 500 || strings.Contains(answer.Body.String(), "pool") {
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
	}
}
