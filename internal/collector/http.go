package collector

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"sync"

	"millrace/internal/span"
)

// Caps of one export request.
const (
	maxBody     = 4 << 20  // as sent
	maxUnpacked = 16 << 20 // after gzip
	// maxAtOnce bounds the requests whose bodies are in memory.
	maxAtOnce = 4
)

const protobufType = "application/x-protobuf"

// Handler answers /v1/traces (OTLP), /api/traces/{trace_id} and
// /api/orders/{order_id}/spans (JSON), /api/stats, /healthz and /readyz.
type Handler struct {
	store   *Store
	forward *Forwarder // nil: nowhere
	log     *slog.Logger
	mux     *http.ServeMux
	slots   chan struct{}
	buffers sync.Pool
}

// NewHandler serves a store. forward may be nil.
func NewHandler(store *Store, forward *Forwarder, log *slog.Logger) *Handler {
	h := &Handler{store: store, forward: forward, log: log, mux: http.NewServeMux(), slots: make(chan struct{}, maxAtOnce)}
	h.mux.HandleFunc("POST /v1/traces", h.export)
	h.mux.HandleFunc("GET /api/traces/{id}", h.trace)
	h.mux.HandleFunc("GET /api/orders/{id}/spans", h.order)
	h.mux.HandleFunc("GET /api/stats", h.stats)
	h.mux.HandleFunc("GET /healthz", h.healthy)
	h.mux.HandleFunc("GET /readyz", h.healthy)
	return h
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

func (h *Handler) export(w http.ResponseWriter, r *http.Request) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != protobufType {
		http.Error(w, "Content-Type must be "+protobufType, http.StatusUnsupportedMediaType)
		return
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	case <-r.Context().Done():
		return
	}
	buf, _ := h.buffers.Get().([]byte)
	body, err := readBody(buf[:0], w, r)
	defer func() { h.buffers.Put(body[:0]) }() //nolint:staticcheck // SA6002: one small header per request is fine
	if err == nil {
		err = h.store.Add(body)
	}
	if err != nil {
		status := exportStatus(err)
		if status == http.StatusInternalServerError {
			h.log.Error("spans could not be kept", "error", err)
			err = errors.New("internal error")
		}
		http.Error(w, err.Error(), status)
		return
	}
	if h.forward != nil {
		h.forward.Add(append([]byte(nil), body...))
	}
	w.Header().Set("Content-Type", protobufType)
	w.WriteHeader(http.StatusOK) // an empty ExportTraceServiceResponse has no bytes
}

// exportStatus turns an error into what OTLP says about it: 4xx, do not retry.
func exportStatus(err error) int {
	var tooLarge *http.MaxBytesError
	var encoding *encodingError
	switch {
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &encoding):
		return http.StatusUnsupportedMediaType
	case errors.Is(err, errMalformed):
		return http.StatusBadRequest
	default:
		return http.StatusInternalServerError
	}
}

// encodingError is returned for a Content-Encoding that is not read here.
type encodingError struct{ encoding string }

func (e *encodingError) Error() string {
	return fmt.Sprintf("Content-Encoding %q, allowed: gzip, or none", e.encoding)
}

var gzipReaders = sync.Pool{New: func() any { return new(gzip.Reader) }}

// readBody reads and unpacks a body into buf, within the caps.
func readBody(buf []byte, w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var src io.Reader = http.MaxBytesReader(w, r.Body, maxBody)
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		zr := gzipReaders.Get().(*gzip.Reader)
		defer gzipReaders.Put(zr)
		if err := zr.Reset(src); err != nil {
			return buf, broken(err)
		}
		src = zr
	default:
		return buf, &encodingError{encoding}
	}
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := src.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case len(buf) > maxUnpacked:
			return buf, &http.MaxBytesError{Limit: maxUnpacked}
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return buf, broken(err)
		}
	}
}

// broken blames the sender for a body that cannot be read, unless it is too large.
func broken(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return fmt.Errorf("%w: %w", errMalformed, err)
}

// Answer is the JSON form of a query's result.
type Answer struct {
	Spans []span.Span `json:"spans"`
}

func (h *Handler) trace(w http.ResponseWriter, r *http.Request) {
	spans, err := h.store.Trace(r.PathValue("id"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.answer(w, spans)
}

func (h *Handler) order(w http.ResponseWriter, r *http.Request) {
	spans, err := h.store.Order(r.PathValue("id"))
	if err != nil {
		h.log.Error("query failed", "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	h.answer(w, spans)
}

func (h *Handler) answer(w http.ResponseWriter, spans []span.Span) {
	if spans == nil {
		spans = []span.Span{}
	}
	writeJSON(w, Answer{Spans: spans})
}

func (h *Handler) stats(w http.ResponseWriter, _ *http.Request) { writeJSON(w, h.store.Stats()) }

func (h *Handler) healthy(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, map[string]string{"status": "ok"})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
