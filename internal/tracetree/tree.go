// Package tracetree makes one readable tree of everything that happened to an
// order, out of spans that several programs recorded.
//
// Three things join a span to the rest: its parent, its links, and the order id.
// The relay of an outbox, for one, runs in a trace of its own: its "send" span
// only links to the span that created the message (OpenTelemetry's conventions
// for messaging), and comes to stand below it here.
//
// The tree has nodes that are no span: the wait in the outbox, between the
// creation of a message and the begin of its sending. And it leaves spans out:
// statements to the database are folded into one node unless Options.All is set.
package tracetree

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"millrace/internal/span"
)

// Kind says what a node stands for.
type Kind string

// The kinds of nodes.
const (
	Request   Kind = "request"   // an HTTP request
	Database  Kind = "database"  // statements to Postgres
	Statement Kind = "statement" // one of them
	Create    Kind = "create"    // a message comes into being
	Outbox    Kind = "outbox"    // it waits for its transaction's end and for the relay
	Send      Kind = "send"      // it goes to the broker and is acknowledged
	Process   Kind = "process"   // a consumer group works on it
	Mail      Kind = "mail"
	Other     Kind = "other"
)

// Node is one step of an order's way.
type Node struct {
	Kind     Kind
	Title    string
	Service  string
	Start    time.Time
	Duration time.Duration
	Notes    []string // short facts in the order in which they are shown
	Error    string   // why it failed; empty when it did not
	Children []*Node

	Topic     string
	Partition string
	Offset    string
	Group     string
	Attempts  int64         // tries until now, those before a wait included
	Retry     string        // why it is processed again: delay, redrive, parked; empty: it is not
	Queue     time.Duration // from the end of the sending, or from when it was due, until the work began
	Linked    bool          // joined by a link or by the order id, not by its parent
	Span      *span.Span    // nil for a node that is no span
}

// Options say what to show.
type Options struct {
	All bool // also single statements to the database
}

// Tree is an order's way.
type Tree struct {
	OrderID  string
	Roots    []*Node
	Start    time.Time
	Duration time.Duration // from the first start to the last end
	Traces   []string
	Missing  []string // steps that every order takes and that are not seen yet
}

// Complete reports whether the order's way has come to its end.
func (t *Tree) Complete() bool { return len(t.Missing) == 0 }

// Build joins spans into a tree.
func Build(orderID string, spans []span.Span, o Options) *Tree {
	t := &Tree{OrderID: orderID, Missing: missing(spans)}
	nodes := make(map[string]*Node, len(spans))
	for i := range spans {
		s := &spans[i]
		nodes[s.SpanID] = newNode(s)
		if !slices.Contains(t.Traces, s.TraceID) {
			t.Traces = append(t.Traces, s.TraceID)
		}
		if i == 0 || s.Start.Before(t.Start) {
			t.Start = s.Start
		}
	}
	var end time.Time
	for i := range spans {
		s := &spans[i]
		n := nodes[s.SpanID]
		if s.End.After(end) {
			end = s.End
		}
		parent := parentOf(s, nodes)
		if parent == nil {
			parent, _ = linkTarget(s, nodes)
			n.Linked = parent != nil
		}
		if parent == nil {
			t.Roots = append(t.Roots, n)
		} else {
			parent.Children = append(parent.Children, n)
		}
	}
	if len(spans) > 0 {
		t.Duration = end.Sub(t.Start)
	}
	if !o.All {
		t.Roots = dropBystanders(t.Roots)
	}
	sortByStart(t.Roots)
	for _, root := range t.Roots {
		finish(root, o)
	}
	return t
}

func parentOf(s *span.Span, nodes map[string]*Node) *Node {
	// A send span's place is below the message that it sends, also where it has a
	// parent of its own. One span sends a whole batch: what is true of one message
	// stands on the link to it. What a processing sends on, as into a retry topic, stays
	// below that processing.
	sentOn := nodes[s.ParentID] != nil && nodes[s.ParentID].Kind == Process
	if kindOf(s) == Send && !sentOn {
		if target, link := linkTarget(s, nodes); target != nil {
			n := nodes[s.SpanID]
			n.Partition, n.Offset = cmp.Or(link.Attrs[attrPartition], n.Partition), cmp.Or(link.Attrs[attrOffset], n.Offset)
			n.Linked = true
			return target
		}
	}
	if s.ParentID == "" || s.ParentID == s.SpanID {
		return nil
	}
	return nodes[s.ParentID]
}

// linkTarget is the first span that s links to and that stands earlier; the
// latter keeps two spans that link to each other from making a circle.
func linkTarget(s *span.Span, nodes map[string]*Node) (*Node, *span.Link) {
	for i, l := range s.Links {
		if target := nodes[l.SpanID]; target != nil && target.Span.Start.Before(s.Start) {
			return target, &s.Links[i]
		}
	}
	return nil, nil
}

// dropBystanders leaves out roots that changed nothing: who only looked at the
// order, and the batch of a relay whose sends stand elsewhere.
func dropBystanders(roots []*Node) []*Node {
	bystander := func(n *Node) bool {
		if n.Kind == Request {
			return n.Span.Attrs[attrMethod] == http.MethodGet
		}
		return len(n.Children) == 0 && (n.Kind == Other || n.Kind == Statement)
	}
	if !slices.ContainsFunc(roots, func(n *Node) bool { return !bystander(n) }) {
		return roots
	}
	return slices.DeleteFunc(roots, bystander)
}

func sortByStart(nodes []*Node) {
	slices.SortStableFunc(nodes, func(a, b *Node) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Title, b.Title))
	})
}

// finish works from the leaves up: waits are put in, statements folded, children sorted.
func finish(n *Node, o Options) {
	addWaits(n)
	sortByStart(n.Children)
	noteRepeats(n.Children)
	if n.Kind != Database && n.Kind != Statement {
		n.Children = foldStatements(n.Children, o)
	}
	for _, child := range n.Children {
		finish(child, o)
	}
}

// addWaits tells how long a message waited: in the outbox, and in the topic for
// each group.
func addWaits(create *Node) {
	if create.Kind != Create {
		return
	}
	var sent *Node // the first successful one
	for _, child := range create.Children {
		if child.Kind == Send && child.Error == "" && (sent == nil || child.Start.Before(sent.Start)) {
			sent = child
		}
	}
	if sent == nil {
		for _, child := range create.Children {
			if child.Kind == Process && child.Queue > 0 {
				child.Notes = append([]string{"in queue " + Duration(child.Queue)}, child.Notes...)
			}
		}
		return
	}
	created := create.Start.Add(create.Duration)
	if wait := sent.Start.Sub(created); wait > 0 {
		create.Children = append(create.Children, &Node{
			Kind: Outbox, Title: "wait in the outbox", Service: create.Service, Start: created, Duration: wait, Topic: create.Topic,
		})
	}
	acknowledged := sent.Start.Add(sent.Duration)
	for _, child := range create.Children {
		if child.Kind == Process {
			if child.Retry == "" {
				child.Queue = max(0, child.Start.Sub(acknowledged))
			}
			child.Notes = append([]string{"in queue " + Duration(child.Queue)}, child.Notes...)
			if sent.Offset == "" && child.Offset != "" {
				sent.Partition, sent.Offset = child.Partition, child.Offset
			}
		}
	}
	if sent.Offset != "" {
		sent.Notes = append(sent.Notes, "partition "+sent.Partition+", offset "+sent.Offset)
	}
}

// noteRepeats marks work on a record that the same group had seen before.
func noteRepeats(children []*Node) {
	type delivery struct{ topic, partition, offset, group string }
	seen := map[delivery]bool{}
	for _, n := range children {
		d := delivery{n.Topic, n.Partition, n.Offset, n.Group}
		if n.Kind == Process && n.Offset != "" {
			if seen[d] && n.Retry == "" {
				n.Notes = append(n.Notes, "delivered again")
			}
			seen[d] = true
		}
	}
}
