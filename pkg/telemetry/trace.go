package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	exportTimeout = 5 * time.Second
	// exportDelay is short, so that a trace can be looked at soon after its order.
	exportDelay = 500 * time.Millisecond
	// queueSize bounds the spans that wait, and with them the memory that an absent
	// collector costs.
	queueSize  = 4096
	batchSize  = 512
	maxLinks   = 512 // a send span links to every message of its batch
	quietTime  = time.Minute
	tracesPath = "/v1/traces"
)

func newTracerProvider(ctx context.Context, c Config, log *slog.Logger, r prometheus.Registerer) (*sdktrace.TracerProvider, error) {
	exporter, err := otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(strings.TrimSuffix(c.OTLPEndpoint, "/")+tracesPath),
		otlptracehttp.WithTimeout(exportTimeout),
		// A failed batch is dropped: to hold it back would hold back all behind it.
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false}),
	)
	if err != nil {
		return nil, fmt.Errorf("trace exporter for %s: %w", c.OTLPEndpoint, err)
	}
	res, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", c.ServiceName)),
		resource.WithFromEnv(), // wins
	)
	if err != nil {
		log.WarnContext(ctx, "OTEL_RESOURCE_ATTRIBUTES is not fully readable", "error", err)
	}
	dropped := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "trace_spans_not_exported_total",
		Help: "Spans that the collector did not take.",
	})
	r.MustRegister(dropped)
	limits := sdktrace.NewSpanLimits()
	limits.LinkCountLimit = maxLinks
	return sdktrace.NewTracerProvider(
		sdktrace.WithResource(res),
		sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithBatcher(&quietExporter{SpanExporter: exporter, log: log, endpoint: c.OTLPEndpoint, dropped: dropped},
			sdktrace.WithBatchTimeout(exportDelay),
			sdktrace.WithExportTimeout(exportTimeout),
			sdktrace.WithMaxQueueSize(queueSize),
			sdktrace.WithMaxExportBatchSize(batchSize),
		),
	), nil
}

// quietExporter says rarely that spans are lost, and lets nobody else say it.
type quietExporter struct {
	sdktrace.SpanExporter
	log      *slog.Logger
	endpoint string
	dropped  prometheus.Counter
	lastSaid atomic.Int64 // Unix nanoseconds
}

func (e *quietExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		return nil
	}
	e.dropped.Add(float64(len(spans)))
	now, last := time.Now().UnixNano(), e.lastSaid.Load()
	if now-last >= int64(quietTime) && e.lastSaid.CompareAndSwap(last, now) {
		e.log.WarnContext(ctx, "trace collector does not take spans, they are dropped", "endpoint", e.endpoint, "error", err)
	}
	return nil
}
