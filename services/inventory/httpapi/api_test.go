package httpapi

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"millrace/pkg/events"
	"millrace/pkg/messaging/outbox"
	"millrace/pkg/postgres/postgrestest"
	"millrace/pkg/problem"
	"millrace/services/inventory/postgres"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

func newAPI(t *testing.T) (call func(method, path, body string) *httptest.ResponseRecorder, s *postgres.Store) {
	t.Helper()
	s = postgres.NewStore(postgrestest.New(t, postgres.Migrations()...), outbox.NewWriter(nil), nil, time.Now)
	mux := http.NewServeMux()
	Register(mux, s, slog.New(slog.DiscardHandler))
	return func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, r)
		return answer
	}, s
}

func TestAPI_Stock(t *testing.T) {
	t.Parallel()
	call, _ := newAPI(t)
	for _, step := range []struct{ request, body, want string }{
		{"PUT /stock/kettle", `{"available":7}`, `200 {"product_id":"kettle","available":7,"reserved":0}`},
		{"PUT /stock/new-thing", `{"available":0}`, `201 {"product_id":"new-thing","available":0,"reserved":0}`},
		{"GET /stock/kettle", ``, `200 {"product_id":"kettle","available":7,"reserved":0}`},
	} {
		method, path, _ := strings.Cut(step.request, " ")
		if answer := call(method, path, step.body); fmt.Sprint(answer.Code, " ", strings.TrimSpace(answer.Body.String())) != step.want {
			t.Errorf("%s: %d %s, want %s", step.request, answer.Code, answer.Body, step.want)
		}
	}
	if answer := call("GET", "/stock", ""); answer.Code != 200 || !strings.Contains(answer.Body.String(), `{"product_id":"coffee-beans","available":1000,"reserved":0}`) {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}

func TestAPI_BadInput(t *testing.T) {
	t.Parallel()
	call, _ := newAPI(t)
	for _, c := range []struct{ request, body, want string }{
		{"PUT /stock/kettle", `{"available":-1}`, "422 invalid-stock /available minimum"},
		{"PUT /stock/kettle", `{"available":1e30}`, "422 invalid-stock /available maximum"},
		{"PUT /stock/a%20b", `{"available":1}`, "422 invalid-stock product_id pattern"},
		{"PUT /stock/kettle", `{"available":"1"}`, "400 unexpected-body /available type"},
		{"PUT /stock/kettle", `{"quantity":1}`, "400 unexpected-body /quantity additionalProperties"},
		{"PUT /stock/kettle", `{`, "400 malformed-json "},
		{"PUT /stock/kettle", ``, "415 unsupported-media-type "},
		{"GET /stock/moon", ``, "404 no-stock "},
		{"GET /reservations/o-1", ``, "404 no-reservation "},
		{"GET /reservations/a%00b", ``, "404 no-reservation "},
		{"GET /reservations/%ff", ``, "404 no-reservation "},
		{"GET /stock/%00", ``, "404 no-stock "},
		{"GET /nothing", ``, "404 no-such-route "},
		{"DELETE /stock", ``, "405 method-not-allowed "},
	} {
		method, path, _ := strings.Cut(c.request, " ")
		answer := call(method, path, c.body)
		var d problem.Details
		if err := json.Unmarshal(answer.Body.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(answer.Code, " ", strings.TrimPrefix(d.Type, "/problems/"), " ")
		if len(d.Errors) > 0 {
			got += d.Errors[0].Pointer + d.Errors[0].Parameter + " " + d.Errors[0].Rule
		}
		if got != c.want || answer.Header().Get("Content-Type") != problem.ContentType {
			t.Errorf("%s %s: %s, want %s", c.request, c.body, got, c.want)
		}
	}
}

func TestAPI_Reservation(t *testing.T) {
	t.Parallel()
	call, s := newAPI(t)
	order := events.OrderCreated{OrderID: "o-1", CustomerID: "customer_123", Items: []events.Item{{ProductID: "kettle", Quantity: 6}}, Timestamp: time.Now()}
	if _, _, err := s.Reserve(t.Context(), events.GroupInventory, "m-1", order); err != nil {
		t.Fatal(err)
	}
	answer := call("GET", "/reservations/o-1", "")
	var body reservationBody
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	if answer.Code != 200 || body.Status != "REJECTED" || body.Refusal == nil || body.Refusal.Available != 5 || body.Items[0].Quantity != 6 {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
}
