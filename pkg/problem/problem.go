// Package problem answers HTTP requests that cannot be served: problem details
// as RFC 9457 has them, one table from error to status, routes that say 404 and
// 405 in the same form, and request bodies that are read with care.
//
//	{"type":"/problems/invalid-order","title":"The order breaks a rule","status":422,
//	 "detail":"…","errors":[{"pointer":"/items/0/quantity","rule":"minimum","detail":"must be at least 1"}],
//	 "trace_id":"…"}
//
// The type is a relative reference; the service that answered explains it there.
package problem

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// ContentType is the media type of a problem (RFC 9457 section 6.1).
const ContentType = "application/problem+json"

// Details is one problem as it goes over the wire.
type Details struct {
	Type    string      `json:"type"`
	Title   string      `json:"title"`
	Status  int         `json:"status"`
	Detail  string      `json:"detail,omitempty"`
	Errors  []Violation `json:"errors,omitempty"`
	TraceID string      `json:"trace_id,omitempty"`
}

// Violation is one rule that one part of the request breaks.
type Violation struct {
	Pointer   string `json:"pointer,omitempty"`   // JSON pointer into the body
	Parameter string `json:"parameter,omitempty"` // or: query, path or header parameter
	Rule      string `json:"rule"`
	Detail    string `json:"detail"`
}

// Kind is a sort of problem: everything about it that does not depend on the request.
type Kind struct {
	Slug       string // last part of the type
	Status     int
	Title      string
	Help       string // for the page at /problems/SLUG
	RetryAfter int    // seconds; 0: no such header
}

// Rule says which problem an error is. Match returns the detail and the
// violations to show, and whether the rule applies.
type Rule struct {
	Kind  Kind
	Match func(error) (detail string, violations []Violation, ok bool)
}

// Is makes a rule for a sentinel error; its text is the detail.
func Is(target error, k Kind) Rule {
	return Rule{k, func(err error) (string, []Violation, bool) {
		if !errors.Is(err, target) {
			return "", nil, false
		}
		return target.Error(), nil, true
	}}
}

// As makes a rule for a type of error.
func As[E error](k Kind, show func(E) (detail string, violations []Violation)) Rule {
	return Rule{k, func(err error) (string, []Violation, bool) {
		var e E
		if !errors.As(err, &e) {
			return "", nil, false
		}
		detail, violations := show(e)
		return detail, violations, true
	}}
}

// Internal is the kind of every error that no rule knows: logged with its text,
// shown without.
var Internal = Kind{
	Slug: "internal", Status: http.StatusInternalServerError, Title: "Something broke on our side",
	Help: "The request was fine as far as we know. The service's log has the cause, under the same trace_id.",
}

// Table turns errors into problems: the rules of this package first, because the
// cause of an incomplete body looks like many another, then its own.
type Table struct {
	rules []Rule
	log   *slog.Logger
}

// NewTable makes a table. log receives what is shown as Internal.
func NewTable(log *slog.Logger, rules ...Rule) *Table {
	return &Table{rules: slices.Concat(requestRules, rules), log: log}
}

// Answer writes the problem that err is. Nothing may have been written before.
func (t *Table) Answer(w http.ResponseWriter, r *http.Request, err error) {
	kind, detail, violations := t.find(err)
	if kind.Status >= http.StatusInternalServerError {
		t.report(r, kind, err)
	}
	d := Details{Type: TypeOf(kind), Title: kind.Title, Status: kind.Status, Detail: detail, Errors: violations}
	if s := trace.SpanContextFromContext(r.Context()); s.IsValid() {
		d.TraceID = s.TraceID().String()
	}
	if kind.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(kind.RetryAfter))
	}
	Write(w, d)
}

// Kind returns the kind of problem that err is.
func (t *Table) Kind(err error) Kind {
	kind, _, _ := t.find(err)
	return kind
}

func (t *Table) find(err error) (Kind, string, []Violation) {
	for _, rule := range t.rules {
		if detail, violations, ok := rule.Match(err); ok {
			return rule.Kind, detail, violations
		}
	}
	return Internal, "", nil
}

// report logs what is our fault, unless the client has gone and caused it.
func (t *Table) report(r *http.Request, kind Kind, err error) {
	if errors.Is(r.Context().Err(), context.Canceled) {
		return
	}
	span := trace.SpanFromContext(r.Context())
	span.RecordError(err)
	span.SetStatus(codes.Error, kind.Slug)
	t.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "problem", kind.Slug, "error", err)
}

// TypeOf is the type member of a kind.
func TypeOf(k Kind) string { return "/problems/" + k.Slug }

// Write writes d with its status.
func Write(w http.ResponseWriter, d Details) {
	body, err := json.Marshal(d)
	if err != nil { // no member of Details can cause it
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(d.Status)
	_, _ = w.Write(append(body, '\n')) // the client may have gone: nobody is left to tell
}

// Help serves the page about each kind of problem, for a mux at /problems/{slug}.
func (t *Table) Help(w http.ResponseWriter, r *http.Request) {
	slug := r.PathValue("slug")
	kinds := []Kind{Internal, noRoute, noMethod}
	for _, rule := range t.rules {
		kinds = append(kinds, rule.Kind)
	}
	for _, k := range kinds {
		if k.Slug == slug {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = w.Write([]byte(k.Title + " (" + strconv.Itoa(k.Status) + ")\n\n" + k.Help + "\n"))
			return
		}
	}
	NotFound(w, r)
}
