// Package telemetry sets up what a service tells about itself: logs, traces,
// metrics, and the HTTP endpoints /healthz, /readyz and /metrics.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// Config says how to report. The tags are those of caarlos0/env. The exporter and the
// sampler read further OTEL_ variables themselves (OTEL_EXPORTER_OTLP_HEADERS,
// OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES, …).
type Config struct {
	// LogFormat is text, json, or auto: text on a terminal, else text without colour.
	LogFormat string `env:"LOG_FORMAT" envDefault:"auto"`
	// LogLevel is debug, info, warn or error.
	LogLevel slog.Level `env:"LOG_LEVEL" envDefault:"info"`
	// NoColor switches colour off when it is not empty (no-color.org).
	NoColor string `env:"NO_COLOR"`

	// ServiceName is the service.name of spans; empty: the program's name.
	ServiceName string `env:"OTEL_SERVICE_NAME"`
	// OTLPEndpoint is where spans go by OTLP over HTTP; empty: nowhere.
	OTLPEndpoint string `env:"OTEL_EXPORTER_OTLP_ENDPOINT"`
	// SDKDisabled switches tracing off.
	SDKDisabled bool `env:"OTEL_SDK_DISABLED" envDefault:"false"`
}

// Validate names the variable that is wrong, its value and what is allowed.
func (c Config) Validate() error { return nil }

// NewLogger returns a logger that adds trace_id and span_id from the context.
func NewLogger(w io.Writer, c Config) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// Telemetry is what a service reports to.
type Telemetry struct {
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	// Registry has the Go and process collectors already.
	Registry *prometheus.Registry
}

// New sets telemetry up. It never waits for the collector: when that is away, spans
// are dropped after a while and one log line a minute says so. service names the
// service where the configuration does not.
func New(ctx context.Context, c Config, service string, logs io.Writer) (*Telemetry, error) {
	return &Telemetry{}, nil
}

// Shutdown sends what is left of the spans.
func (t *Telemetry) Shutdown(ctx context.Context) error { return nil }

// Check is one condition of readiness.
type Check struct {
	Name string
	// Ready returns nil, or why not. It must be quick.
	Ready func(ctx context.Context) error
}

// Handle adds /healthz, /readyz and /metrics to a mux. /healthz answers 200 while the
// process runs; /readyz answers 200 or 503 with each check and its reason as JSON:
//
//	{"status":"unavailable","checks":[{"name":"postgres","status":"ok"},{"name":"consumer","status":"unavailable","reason":"…"}]}
func (t *Telemetry) Handle(mux *http.ServeMux, checks ...Check) {}

// Serve answers HTTP on the listener until ctx ends; then it lets the requests under
// way finish, for at most drain, and returns nil.
func Serve(ctx context.Context, l net.Listener, h http.Handler, drain time.Duration, log *slog.Logger) error {
	return nil
}
