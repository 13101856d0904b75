// Package telemetry sets up what a service tells about itself: logs, traces,
// metrics, and the HTTP endpoints /healthz, /readyz and /metrics.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Config says how to report. The tags are those of caarlos0/env. The exporter and the
// sampler read further OTEL_ variables themselves (OTEL_EXPORTER_OTLP_HEADERS,
// OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES, …).
type Config struct {
	// LogFormat is text, json, or auto: text with colour on a terminal, else text
	// without.
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

// Values of Config.LogFormat.
const (
	FormatAuto = "auto"
	FormatText = "text"
	FormatJSON = "json"
)

// Validate names the variable that is wrong, its value and what is allowed.
func (c Config) Validate() error {
	switch c.LogFormat {
	case "", FormatAuto, FormatText, FormatJSON:
	default:
		return fmt.Errorf("LOG_FORMAT is %q, want auto, text or json", c.LogFormat)
	}
	if c.OTLPEndpoint != "" {
		u, err := url.Parse(c.OTLPEndpoint)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return fmt.Errorf("OTEL_EXPORTER_OTLP_ENDPOINT is %q, want http://host:port", c.OTLPEndpoint)
		}
	}
	return nil
}

// Telemetry is what a service reports to.
type Telemetry struct {
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	// Registry has the Go and process collectors already.
	Registry *prometheus.Registry

	shutdown func(context.Context) error
}

// New sets telemetry up. It never waits for the collector: when that is away, spans
// are dropped after a while and one log line a minute says so. service names the
// service where the configuration does not.
func New(ctx context.Context, c Config, service string, logs io.Writer) (*Telemetry, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.ServiceName == "" {
		c.ServiceName = service
	}
	t := &Telemetry{
		Logger:         NewLogger(logs, c).With("service", c.ServiceName),
		TracerProvider: noop.NewTracerProvider(),
		Registry:       prometheus.NewRegistry(),
		shutdown:       func(context.Context) error { return nil },
	}
	t.Registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	if c.OTLPEndpoint != "" && !c.SDKDisabled {
		provider, err := newTracerProvider(ctx, c, t.Logger, t.Registry)
		if err != nil {
			return nil, err
		}
		t.TracerProvider, t.shutdown = provider, provider.Shutdown
	}
	return t, nil
}

// Shutdown sends what is left of the spans, for as long as ctx allows. A collector
// that is away is no error.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if err := t.shutdown(ctx); err != nil {
		t.Logger.DebugContext(ctx, "the last spans were not sent", "error", err)
	}
	return nil
}
