package tracetree

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"millrace/internal/span"
	"millrace/pkg/events"
)

// Attribute names of OpenTelemetry's conventions, and ours.
const (
	attrTopic     = "messaging.destination.name"
	attrOperation = "messaging.operation.name"
	attrType      = "messaging.operation.type"
	attrPartition = "messaging.destination.partition.id"
	attrOffset    = "messaging.kafka.offset"
	attrGroup     = "messaging.consumer.group.name"
	attrAttempts  = "millrace.attempts"
	attrOutcome   = "millrace.outcome"
	attrQueue     = "millrace.queue_ms"
	attrBefore    = "millrace.attempts_before"
	attrRetry     = "millrace.retry.reason"
	attrRedrive   = "millrace.redrive.id"
	attrMailKind  = "mail.kind"
	attrQuery     = "db.query.text"
	attrStatus    = "http.response.status_code"
	attrMethod    = "http.request.method"
)

func newNode(s *span.Span) *Node {
	n := &Node{
		Kind: kindOf(s), Title: s.Name, Service: cmp.Or(s.Instance, s.Service), Start: s.Start, Duration: s.Duration(), Span: s,
		Topic: s.Attrs[attrTopic], Partition: s.Attrs[attrPartition], Offset: s.Attrs[attrOffset], Group: s.Attrs[attrGroup],
	}
	if s.Failed {
		n.Error = cmp.Or(s.Message, s.Attrs["error.type"], "failed")
	}
	switch n.Kind {
	case Request:
		if code := s.Attrs[attrStatus]; code != "" {
			n.Notes = append(n.Notes, "answered "+code)
		}
	case Process:
		n.Title = "process " + n.Topic + " by " + n.Group
		n.Attempts = attempts(s)
		if queued, err := strconv.ParseFloat(s.Attrs[attrQueue], 64); err == nil {
			n.Queue = time.Duration(queued * float64(time.Millisecond)) // by the record's timestamp; replaced where the sending is seen
		}
		n.Retry = s.Attrs[attrRetry]
		if again := againNote(s); again != "" {
			n.Notes = append(n.Notes, again)
		}
		n.Notes = append(n.Notes, "at work "+Duration(n.Duration), attemptsNote(s))
		if outcome := s.Attrs[attrOutcome]; outcome != "" && outcome != "ok" {
			n.Notes = append(n.Notes, strings.ReplaceAll(outcome, "_", " "))
		}
	case Send:
		if s.Attrs[attrOperation] == "redrive" { // of millrace dlq: it stands beside the first sending
			n.Notes = append(n.Notes, "to "+n.Topic)
			if n.Offset != "" {
				n.Notes = append(n.Notes, "partition "+n.Partition+", offset "+n.Offset)
			}
		}
	case Statement:
		if text := strings.Join(strings.Fields(s.Attrs[attrQuery]), " "); text != "" {
			n.Title = shorten(text)
		}
	case Mail:
		n.Title = "e-mail"
		if kind := s.Attrs[attrMailKind]; kind != "" {
			n.Title = "e-mail: " + strings.ToLower(kind)
		}
	}
	return n
}

// shorten cuts a long statement.
func shorten(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// attempts is how many tries a group needed.
func attempts(s *span.Span) int64 {
	if n, ok := s.Int(attrAttempts); ok {
		return n
	}
	return 1
}

// attemptsNote tells which tries were made in this processing: out of a retry topic, the
// count goes on from the earlier ones.
func attemptsNote(s *span.Span) string {
	last, first := attempts(s), int64(1)
	if before, ok := s.Int(attrBefore); ok {
		first = before + 1
	}
	switch {
	case s.Attrs[attrOutcome] == "parked" || last < first:
		return "not tried"
	case first < last:
		return fmt.Sprintf("attempts %d to %d", first, last)
	default:
		return fmt.Sprintf("attempt %d", last)
	}
}

// againNote tells how a message came back out of a retry topic.
func againNote(s *span.Span) string {
	switch s.Attrs[attrRetry] {
	case "":
		return ""
	case "delay":
		return "after a wait"
	case "redrive":
		for _, l := range s.Links {
			if id := l.Attrs[attrRedrive]; id != "" {
				return "redriven by " + id
			}
		}
		return "redriven"
	default:
		return "after being " + s.Attrs[attrRetry]
	}
}

// comesAgain tells whether a processing was not the last one: the message was put off,
// or given back to its group.
func comesAgain(s *span.Span) bool {
	switch s.Attrs[attrOutcome] {
	case "delayed", "parked", "released":
		return true
	default:
		return false
	}
}

func kindOf(s *span.Span) Kind {
	switch {
	case s.Attrs["db.system.name"] != "" || s.Attrs["db.system"] != "":
		return Statement
	case s.Attrs[attrMailKind] != "" || s.Attrs["network.protocol.name"] == "smtp":
		return Mail
	case s.Attrs[attrTopic] != "":
		switch cmp.Or(s.Attrs[attrType], s.Attrs[attrOperation]) {
		case "create":
			return Create
		case "send", "publish":
			return Send
		case "process":
			return Process
		}
	case s.Kind == span.Server:
		return Request
	}
	return Other
}

// foldStatements puts statements that stand side by side under one parent into
// one node.
func foldStatements(children []*Node, o Options) []*Node {
	var statements []*Node
	rest := slices.DeleteFunc(slices.Clone(children), func(n *Node) bool {
		if n.Kind == Statement {
			statements = append(statements, n)
			return true
		}
		return false
	})
	if len(statements) == 0 {
		return children
	}
	fold := &Node{Kind: Database, Service: statements[0].Service, Start: statements[0].Start}
	var end time.Time
	transaction := false
	for _, s := range statements {
		if e := s.Start.Add(s.Duration); e.After(end) {
			end = e
		}
		transaction = transaction || opensTransaction(s.Span)
		fold.Error = cmp.Or(fold.Error, s.Error)
	}
	fold.Duration = end.Sub(fold.Start)
	fold.Title = "database"
	if transaction {
		fold.Title = "database transaction"
	}
	fold.Notes = []string{count(countStatements(statements), "statement"), count(len(statements), "round trip")}
	if o.All {
		fold.Children = statements
	}
	rest = append(rest, fold)
	sortByStart(rest)
	return rest
}

// countStatements counts the statements that do something: a batch is none
// itself, and the begin and the end of a transaction do not count.
func countStatements(nodes []*Node) int {
	n := 0
	for _, s := range nodes {
		switch below := countStatements(s.Children); {
		case len(s.Children) > 0:
			n += below
		case s.Span.Name != "BEGIN" && s.Span.Name != "COMMIT":
			n++
		}
	}
	return n
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// opensTransaction looks for a BEGIN, or a batch: one round trip, one
// transaction (postgresql.org/docs/current/protocol-flow.html, pipelining).
func opensTransaction(s *span.Span) bool {
	text := strings.ToLower(cmp.Or(s.Attrs[attrQuery], s.Attrs["db.statement"], s.Name))
	name := strings.ToLower(s.Name)
	return strings.HasPrefix(text, "begin") || strings.HasPrefix(name, "batch")
}

// expected are the steps of every order's way, after its request.
var expected = []struct{ topic, group string }{
	{events.TopicOrders, events.GroupInventory},
	{events.TopicOrders, events.GroupNotification},
	{events.TopicInventory, events.GroupOrder},
	{events.TopicInventory, events.GroupNotification},
}

// missing lists the expected steps of which there is no span. What went to a
// dead letter topic ends there.
func missing(spans []span.Span) []string {
	var list []string
	for _, e := range expected {
		done := slices.ContainsFunc(spans, func(s span.Span) bool {
			if kindOf(&s) != Process || comesAgain(&s) {
				return false
			}
			dead := s.Failed && s.Attrs[attrTopic] == events.TopicOrders && e.topic == events.TopicInventory && s.Attrs[attrGroup] == events.GroupInventory
			return dead || s.Attrs[attrTopic] == e.topic && s.Attrs[attrGroup] == e.group
		})
		if !done {
			list = append(list, "process "+e.topic+" by "+e.group)
		}
	}
	return list
}
