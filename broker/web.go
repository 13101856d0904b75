package broker

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"millrace/broker/internal/fault"
)

func itoa(n int32) string { return strconv.Itoa(int(n)) }

// webServer answers /healthz (the process is up), /readyz (clients are served)
// and /metrics.
func (b *Broker) webServer() *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := b.dir.Err(); err != nil {
			http.Error(w, "data folder is offline: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	faults := fault.Handler(b.faults)
	mux.Handle("/admin/faults", faults)
	mux.Handle("/admin/faults/", faults)
	mux.Handle("GET /metrics", promhttp.HandlerFor(b.registry, promhttp.HandlerOpts{}))
	return &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
}
