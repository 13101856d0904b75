package tracetree

import (
	"encoding/json"
	"math"
	"time"
)

// jsonTree and jsonNode are the stable form of `millrace trace -o json`.
type jsonTree struct {
	OrderID    string     `json:"order_id"`
	Complete   bool       `json:"complete"`
	Missing    []string   `json:"missing,omitempty"`
	TraceIDs   []string   `json:"trace_ids"`
	Started    time.Time  `json:"started"`
	DurationMS float64    `json:"duration_ms"`
	Steps      []jsonNode `json:"steps"`
}

type jsonNode struct {
	Kind       Kind       `json:"kind"`
	Title      string     `json:"title"`
	Service    string     `json:"service,omitempty"`
	StartMS    float64    `json:"start_ms"` // after the order's begin
	DurationMS float64    `json:"duration_ms"`
	Topic      string     `json:"topic,omitempty"`
	Partition  string     `json:"partition,omitempty"`
	Offset     string     `json:"offset,omitempty"`
	Group      string     `json:"group,omitempty"`
	Attempts   int64      `json:"attempts,omitempty"`
	Retry      string     `json:"retry,omitempty"`
	QueueMS    *float64   `json:"queue_ms,omitempty"`
	Error      string     `json:"error,omitempty"`
	Linked     bool       `json:"linked,omitempty"`
	TraceID    string     `json:"trace_id,omitempty"`
	SpanID     string     `json:"span_id,omitempty"`
	Steps      []jsonNode `json:"steps,omitempty"`
}

// MarshalJSON writes the tree with times in milliseconds.
func (t *Tree) MarshalJSON() ([]byte, error) {
	j := jsonTree{
		OrderID: t.OrderID, Complete: t.Complete(), Missing: t.Missing, TraceIDs: t.Traces,
		Started: t.Start, DurationMS: ms(t.Duration), Steps: t.nodes(t.Roots),
	}
	if j.TraceIDs == nil {
		j.TraceIDs = []string{}
	}
	if j.Steps == nil {
		j.Steps = []jsonNode{}
	}
	return json.Marshal(j)
}

func (t *Tree) nodes(nodes []*Node) []jsonNode {
	var list []jsonNode
	for _, n := range nodes {
		j := jsonNode{
			Kind: n.Kind, Title: n.Title, Service: n.Service, StartMS: ms(n.Start.Sub(t.Start)), DurationMS: ms(n.Duration),
			Topic: n.Topic, Partition: n.Partition, Offset: n.Offset, Group: n.Group, Attempts: n.Attempts, Retry: n.Retry,
			Error: n.Error, Linked: n.Linked, Steps: t.nodes(n.Children),
		}
		if n.Kind == Process {
			queue := ms(n.Queue)
			j.QueueMS = &queue
		}
		if n.Span != nil {
			j.TraceID, j.SpanID = n.Span.TraceID, n.Span.SpanID
		}
		list = append(list, j)
	}
	return list
}

// ms keeps microseconds.
func ms(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Microsecond)) / 1000
}
