package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caarlos0/env/v11"
	"go.opentelemetry.io/otel/trace"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"millrace/pkg/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConfig_EnvironmentAndValidate(t *testing.T) {
	parse := func(environment map[string]string) (telemetry.Config, error) {
		return env.ParseAsWithOptions[telemetry.Config](env.Options{Environment: environment})
	}
	c, err := parse(map[string]string{"LOG_FORMAT": "json", "LOG_LEVEL": "warn", "OTEL_SERVICE_NAME": "s", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_SDK_DISABLED": "true"})
	if err != nil || c.LogLevel != slog.LevelWarn || !c.SDKDisabled || c.Validate() != nil {
		t.Errorf("got %+v, %v", c, err)
	}
	if _, err := parse(map[string]string{"LOG_LEVEL": "loud"}); err == nil || !strings.Contains(err.Error(), "LogLevel") {
		t.Errorf("LOG_LEVEL: %v", err)
	}
	for name, value := range map[string]string{"LOG_FORMAT": "xml", "OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"} {
		c, err := parse(map[string]string{name: value})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), name+` is "`+value) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLogger_AddsTheTrace(t *testing.T) {
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ctx := trace.ContextWithSpanContext(t.Context(), sc)
	for format, want := range map[string]string{"json": `"trace_id":"01000000000000000000000000000000","span_id":"0200000000000000"`, "text": "trace_id=01000000000000000000000000000000 span_id=0200000000000000"} {
		var out bytes.Buffer
		log := telemetry.NewLogger(&out, telemetry.Config{LogFormat: format}).With("a", 1)
		log.InfoContext(ctx, "hello", "b", 2)
		log.InfoContext(t.Context(), "no trace")
		log.DebugContext(ctx, "too low")
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], want) || strings.Contains(lines[1], "trace_id") || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%s: got %q", format, out.String())
		}
	}
}

// collector takes spans by OTLP over HTTP.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	services []string
	names    []string
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request coltrace.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &request) != nil {
			http.Error(w, "bad", http.StatusBadRequest)
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, rs := range request.ResourceSpans {
			for _, a := range rs.Resource.Attributes {
				if a.Key == "service.name" {
					c.services = append(c.services, a.Value.GetStringValue())
				}
			}
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					c.names = append(c.names, s.Name)
				}
			}
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func TestNew_SendsSpans(t *testing.T) {
	c := newCollector(t)
	tel, err := telemetry.New(t.Context(), telemetry.Config{OTLPEndpoint: c.URL + "/"}, "order", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.TracerProvider.Tracer("test").Start(t.Context(), "work")
	span.End()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(c.names) != 1 || c.names[0] != "work" || c.services[0] != "order" {
		t.Errorf("got %q of %q", c.names, c.services)
	}
}

func TestNew_OffMeansOff(t *testing.T) {
	c := newCollector(t)
	for _, config := range []telemetry.Config{{}, {OTLPEndpoint: c.URL, SDKDisabled: true}} {
		tel, err := telemetry.New(t.Context(), config, "order", io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		_, span := tel.TracerProvider.Tracer("test").Start(t.Context(), "work")
		if span.IsRecording() {
			t.Error("a span is recorded")
		}
		span.End()
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if len(c.names) != 0 {
		t.Errorf("got %q", c.names)
	}
}

func TestNew_AnAbsentCollectorCostsOneLogLine(t *testing.T) {
	var mu sync.Mutex
	var out bytes.Buffer
	tel, err := telemetry.New(t.Context(), telemetry.Config{OTLPEndpoint: "http://127.0.0.1:1"}, "order", lockedWriter{&mu, &out})
	if err != nil {
		t.Fatal(err)
	}
	started := time.Now()
	for range 3 * 512 { // three batches
		_, span := tel.TracerProvider.Tracer("test").Start(t.Context(), "work")
		span.End()
	}
	if took := time.Since(started); took > time.Second {
		t.Errorf("spans took %s", took)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if n := strings.Count(out.String(), "\n"); n != 1 || !strings.Contains(out.String(), "trace collector does not take spans") {
		t.Errorf("%d lines: %s", n, out.String())
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}

func TestHandle(t *testing.T) {
	tel, err := telemetry.New(t.Context(), telemetry.Config{}, "order", io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	broken := true
	mux := http.NewServeMux()
	tel.Handle(mux, telemetry.Check{Name: "postgres", Ready: func(context.Context) error { return nil }},
		telemetry.Check{Name: "consumer", Ready: func(context.Context) error {
			if broken {
				return errors.New("not joined")
			}
			return nil
		}})
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	if w := get("/healthz"); w.Code != 200 {
		t.Errorf("/healthz: %d", w.Code)
	}
	w := get("/readyz")
	const want = `{"status":"unavailable","checks":[{"name":"postgres","status":"ok"},{"name":"consumer","status":"unavailable","reason":"not joined"}]}`
	if w.Code != 503 || strings.TrimSpace(w.Body.String()) != want {
		t.Errorf("/readyz: %d %s", w.Code, w.Body)
	}
	broken = false
	var readiness telemetry.Readiness
	if w := get("/readyz"); w.Code != 200 || json.Unmarshal(w.Body.Bytes(), &readiness) != nil || readiness.Status != "ok" {
		t.Errorf("/readyz: %d %s", w.Code, w.Body)
	}
	if w := get("/metrics"); w.Code != 200 || !strings.Contains(w.Body.String(), "go_goroutines") {
		t.Errorf("/metrics: %d", w.Code)
	}
}

func TestServe_FinishesTheRequestUnderWay(t *testing.T) {
	for _, c := range []struct {
		name  string
		drain time.Duration
		ok    bool
	}{{"in time", time.Minute, true}, {"too late", time.Millisecond, false}} {
		t.Run(c.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			arrived, finish := make(chan struct{}), make(chan struct{})
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				close(arrived)
				select {
				case <-finish:
				case <-r.Context().Done():
				}
			})
			ctx, cancel := context.WithCancel(t.Context())
			served := make(chan error, 1)
			go func() { served <- telemetry.Serve(ctx, l, h, c.drain, nil) }()
			answered := make(chan bool, 1)
			go func() {
				client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
				response, err := client.Get("http://" + l.Addr().String())
				if err == nil {
					response.Body.Close()
				}
				answered <- err == nil && response.StatusCode == http.StatusOK
			}()
			<-arrived
			cancel()
			if c.ok {
				// The listener closes before the request is let go.
				for {
					conn, err := net.Dial("tcp", l.Addr().String())
					if err != nil {
						break
					}
					conn.Close()
				}
				close(finish)
			}
			if err := <-served; err != nil {
				t.Error(err)
			}
			if got := <-answered; got != c.ok {
				t.Errorf("answered: %v", got)
			}
		})
	}
}

func TestServe_TellsABrokenListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := telemetry.Serve(t.Context(), l, http.NotFoundHandler(), time.Second, nil); err == nil {
		t.Error("no error")
	}
}

func TestLogger_ColourOnlyOnATerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	telemetry.NewLogger(f, telemetry.Config{}).Error("x")
	text, err := os.ReadFile(f.Name())
	if err != nil || strings.Contains(string(text), "\x1b") || len(text) == 0 {
		t.Errorf("got %q, %v", text, err)
	}
}
