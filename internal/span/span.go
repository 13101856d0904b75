// Package span is a finished OpenTelemetry span in the form in which the
// collector answers queries: JSON with readable ids and times. Package tracetree
// reads it.
package span

import (
	"strconv"
	"time"
)

// Kind is the role of a span, in the words of the specification.
type Kind string

// The kinds of spans.
const (
	Internal Kind = "internal"
	Server   Kind = "server"
	Client   Kind = "client"
	Producer Kind = "producer"
	Consumer Kind = "consumer"
)

// Span is one finished operation.
type Span struct {
	TraceID  string            `json:"trace_id"`
	SpanID   string            `json:"span_id"`
	ParentID string            `json:"parent_span_id,omitempty"`
	Name     string            `json:"name"`
	Kind     Kind              `json:"kind"`
	Service  string            `json:"service"`
	Instance string            `json:"instance,omitempty"`
	Scope    string            `json:"scope,omitempty"`
	Start    time.Time         `json:"start"`
	End      time.Time         `json:"end"`
	Failed   bool              `json:"failed,omitempty"`
	Message  string            `json:"message,omitempty"` // of the status
	Attrs    map[string]string `json:"attributes,omitempty"`
	Links    []Link            `json:"links,omitempty"`
	Events   []Event           `json:"events,omitempty"`
}

// Link points to a span that has to do with this one without being its parent.
type Link struct {
	TraceID string            `json:"trace_id"`
	SpanID  string            `json:"span_id"`
	Attrs   map[string]string `json:"attributes,omitempty"`
}

// Event is something that happened during the span.
type Event struct {
	Name  string            `json:"name"`
	Time  time.Time         `json:"time"`
	Attrs map[string]string `json:"attributes,omitempty"`
}

// Duration is how long the operation took.
func (s *Span) Duration() time.Duration { return s.End.Sub(s.Start) }

// Int reads an attribute that holds a number.
func (s *Span) Int(key string) (int64, bool) {
	n, err := strconv.ParseInt(s.Attrs[key], 10, 64)
	return n, err == nil
}
