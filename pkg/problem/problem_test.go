package problem_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"millrace/pkg/problem"
)

var errGone = errors.New("it is gone")

type limitError struct{ limit int }

func (e limitError) Error() string { return fmt.Sprint("limit ", e.limit) }

func table(log *bytes.Buffer) *problem.Table {
	return problem.NewTable(slog.New(slog.NewTextHandler(log, nil)),
		problem.Is(errGone, problem.Kind{Slug: "gone", Status: http.StatusGone, Title: "Gone", Help: "It was here."}),
		problem.As(problem.Kind{Slug: "limit", Status: http.StatusTooManyRequests, Title: "Too many", RetryAfter: 7},
			func(e limitError) (string, []problem.Violation) {
				return e.Error(), []problem.Violation{{Pointer: "/n", Rule: "maximum", Detail: "too many"}}
			}),
	)
}

func answer(t *testing.T, table *problem.Table, err error) (*httptest.ResponseRecorder, problem.Details) {
	t.Helper()
	w := httptest.NewRecorder()
	table.Answer(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil), err)
	var d problem.Details
	if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	return w, d
}

func TestTable_AnswersByTheFirstRuleThatFits(t *testing.T) {
	var log bytes.Buffer
	table := table(&log)
	w, d := answer(t, table, fmt.Errorf("look: %w", errGone))
	if w.Code != http.StatusGone || d.Type != "/problems/gone" || d.Detail != "it is gone" || w.Header().Get("Content-Type") != problem.ContentType {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w, d = answer(t, table, fmt.Errorf("try: %w", limitError{3}))
	if w.Code != http.StatusTooManyRequests || d.Detail != "limit 3" || len(d.Errors) != 1 || w.Header().Get("Retry-After") != "7" {
		t.Errorf("%d %s %v", w.Code, w.Body, w.Header())
	}
	if log.Len() != 0 {
		t.Errorf("what the client did wrong was logged: %s", &log)
	}
}

// What no rule knows is logged with its text and shown without.
func TestTable_HidesInternalErrors(t *testing.T) {
	var log bytes.Buffer
	w, d := answer(t, table(&log), errors.New("password is hunter2"))
	if w.Code != http.StatusInternalServerError || d.Type != "/problems/internal" || strings.Contains(w.Body.String(), "hunter2") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "hunter2") || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("log: %s", &log)
	}
}

func TestMethods(t *testing.T) {
	m := problem.Methods{http.MethodGet: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }}
	for method, want := range map[string]int{"GET": 418, "HEAD": 418, "OPTIONS": 204, "POST": 405, "BREW": 405} {
		w := httptest.NewRecorder()
		m.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/", nil))
		if w.Code != want || want != 418 && w.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
	}
}

// The span of a request gets the route, which otelhttp cannot know when it begins.
func TestMethods_NotesTheRoute(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	ctx, span := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("").Start(t.Context(), "request")
	mux := http.NewServeMux()
	mux.Handle("/orders/{order_id}", problem.Methods{http.MethodGet: func(http.ResponseWriter, *http.Request) {}})
	mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/orders/1", nil))
	span.End()
	if got := spans.Ended()[0].Attributes(); len(got) != 1 || got[0] != attribute.String("http.route", "/orders/{order_id}") {
		t.Error(got)
	}
}

func TestTable_Help(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/problems/{slug}", table(&bytes.Buffer{}).Help)
	for slug, want := range map[string]string{"gone": "It was here.", "internal": "trace_id", "body-too-large": "1 MiB", "nothing": "no-such-route"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/problems/"+slug, nil))
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", slug, w.Code, w.Body)
		}
	}
}

// A length that is announced above the limit is refused without reading a byte.
func TestBody_RefusesByTheLengthAlone(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", unreadable{t})
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = problem.MaxBody + 1
	var tooLarge *problem.BodyTooLargeError
	if _, err := problem.Body(httptest.NewRecorder(), r); !errors.As(err, &tooLarge) {
		t.Error(err)
	}
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, errors.New("never")
}
