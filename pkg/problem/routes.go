package problem

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

var (
	noRoute = Kind{
		Slug: "no-such-route", Status: http.StatusNotFound, Title: "Nothing is served here",
		Help: "The path is none of this service. /openapi.yaml lists them where the service has one.",
	}
	noMethod = Kind{
		Slug: "method-not-allowed", Status: http.StatusMethodNotAllowed, Title: "The method is not served here",
		Help: "The path exists, the method does not. The Allow header of the answer lists those that do.",
	}
)

// Methods is what one path serves, by method.
type Methods map[string]http.HandlerFunc

// ServeHTTP notes the route in the request's span and picks the handler of the method. GET serves HEAD too, OPTIONS lists
// the methods, anything else is a 405 with them in Allow (RFC 9110 section 15.5.6).
func (m Methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if span := trace.SpanFromContext(r.Context()); span.IsRecording() {
		span.SetAttributes(semconv.HTTPRoute(r.Pattern)) // otelhttp looks before the route is known
	}
	h, ok := m[r.Method]
	if !ok && r.Method == http.MethodHead {
		h, ok = m[http.MethodGet]
	}
	if ok {
		h(w, r)
		return
	}
	w.Header().Set("Allow", m.allow())
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	Write(w, Details{
		Type: TypeOf(noMethod), Title: noMethod.Title, Status: noMethod.Status,
		Detail: "this path takes " + m.allow(),
	})
}

func (m Methods) allow() string {
	allow := []string{http.MethodOptions}
	for method := range m {
		allow = append(allow, method)
		if method == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
	}
	slices.Sort(allow)
	return strings.Join(allow, ", ")
}

// NotFound answers for a path that nothing else serves.
func NotFound(w http.ResponseWriter, _ *http.Request) {
	Write(w, Details{
		Type: TypeOf(noRoute), Title: noRoute.Title, Status: noRoute.Status,
		Detail: "no such path",
	})
}

// Starved is the kind of problem of a service that lacks what it works with.
var Starved = Kind{
	Slug: "unavailable", Status: http.StatusServiceUnavailable, Title: "The database does not answer", RetryAfter: 1,
	Help: "Nothing was changed, as far as we know. Try again in a moment. A POST with an Idempotency-Key is safe to repeat in any case.",
}

// Unavailable answers while a service is not ready for requests.
func Unavailable(w http.ResponseWriter, detail string) {
	w.Header().Set("Retry-After", strconv.Itoa(Starved.RetryAfter))
	Write(w, Details{Type: TypeOf(Starved), Title: Starved.Title, Status: Starved.Status, Detail: detail})
}
