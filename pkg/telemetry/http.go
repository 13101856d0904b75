package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Check is one condition of readiness.
type Check struct {
	Name string
	// Ready returns nil, or why not. It gets a second at most.
	Ready func(ctx context.Context) error
}

const checkTimeout = time.Second

// Readiness is the body of /readyz.
type Readiness struct {
	Status string        `json:"status"`
	Checks []CheckResult `json:"checks"`
}

// CheckResult is one check in a [Readiness].
type CheckResult struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// Values of the status fields.
const (
	StatusOK          = "ok"
	StatusUnavailable = "unavailable"
)

// Handle adds /healthz, /readyz and /metrics to a mux. /healthz answers 200 while the
// process runs; /readyz answers 200 or 503 with each check and its reason as JSON:
//
//	{"status":"unavailable","checks":[{"name":"postgres","status":"ok"},{"name":"consumer","status":"unavailable","reason":"…"}]}
func (t *Telemetry) Handle(mux *http.ServeMux, checks ...Check) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, Readiness{Status: StatusOK, Checks: []CheckResult{}})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		readiness := check(r.Context(), checks)
		status := http.StatusOK
		if readiness.Status != StatusOK {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, readiness)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(t.Registry, promhttp.HandlerOpts{Registry: t.Registry}))
}

// check asks all at once: together they take as long as the slowest.
func check(ctx context.Context, checks []Check) Readiness {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	readiness := Readiness{Status: StatusOK, Checks: make([]CheckResult, len(checks))}
	done := make(chan struct{}, len(checks))
	for i, c := range checks {
		result := &readiness.Checks[i]
		go func() {
			defer func() { done <- struct{}{} }()
			*result = CheckResult{Name: c.Name, Status: StatusOK}
			if err := c.Ready(ctx); err != nil {
				result.Status, result.Reason = StatusUnavailable, err.Error()
			}
		}()
	}
	for range checks {
		<-done
	}
	for _, result := range readiness.Checks {
		if result.Status != StatusOK {
			readiness.Status = StatusUnavailable
		}
	}
	return readiness
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}

const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// Serve answers HTTP on the listener until ctx ends; then it lets the requests under
// way finish, for at most drain, and returns nil.
func Serve(ctx context.Context, l net.Listener, h http.Handler, drain time.Duration, log *slog.Logger) error {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// Requests under way outlive ctx: they are what drain is for.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	drainCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer cancel()
	err := server.Shutdown(drainCtx)
	if errors.Is(err, context.DeadlineExceeded) {
		log.WarnContext(ctx, "requests under way were cut off", "after", drain)
		err = server.Close()
	}
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
