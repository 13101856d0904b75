package tracetree

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/span"
	"millrace/internal/terminal"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it); got\n%s", path, got)
	}
}

// The spans of a real order, as the collector answered them.
func oneOrder(t *testing.T) []span.Span {
	t.Helper()
	b, err := os.ReadFile("testdata/one_order.json")
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ Spans []span.Span }
	if err := json.Unmarshal(b, &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Spans
}

func TestBuild_OneOrder(t *testing.T) {
	t.Parallel()
	tree := Build("one", oneOrder(t), Options{})
	if !tree.Complete() {
		t.Errorf("missing: %v", tree.Missing)
	}
	golden(t, "one_order.txt", Render(tree, terminal.Plain(nil)))
	golden(t, "one_order_ascii.txt", Render(tree, terminal.Output{}))
	golden(t, "one_order_all.txt", Render(Build("one", oneOrder(t), Options{All: true}), terminal.Plain(nil)))
	b, err := json.MarshalIndent(tree, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "one_order_tree.json", string(b)+"\n")
}

// story builds spans by hand: ids are short words, times are milliseconds.
type story []span.Span

var begin = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)

func (s *story) add(id, parent, service, name string, from, to float64, attrs ...string) *span.Span {
	at := func(ms float64) time.Time { return begin.Add(time.Duration(ms * float64(time.Millisecond))) }
	sp := span.Span{TraceID: "t1", SpanID: id, ParentID: parent, Service: service, Name: name, Start: at(from), End: at(to), Attrs: map[string]string{}}
	for i := 0; i < len(attrs); i += 2 {
		sp.Attrs[attrs[i]] = attrs[i+1]
	}
	*s = append(*s, sp)
	return &(*s)[len(*s)-1]
}

func messaging(operation, topic string, more ...string) []string {
	return append([]string{attrTopic, topic, attrOperation, operation, attrType, operation}, more...)
}

func TestBuild_FailuresAndRepeats(t *testing.T) {
	t.Parallel()
	var s story
	s.add("post", "", "order", "POST /orders", 0, 9, attrStatus, "201", attrMethod, "POST").Kind = span.Server
	s.add("create", "post", "order", "create orders", 3, 3.1, messaging("create", "orders")...)
	failed := s.add("send1", "", "order", "send orders", 10, 20, messaging("send", "orders")...)
	failed.Failed, failed.Message, failed.TraceID = true, "broker is away", "t2"
	failed.Links = []span.Link{{TraceID: "t1", SpanID: "create"}}
	sent := s.add("send2", "", "order", "send orders", 30, 34, messaging("send", "orders")...)
	sent.TraceID = "t3"
	sent.Links = []span.Link{{TraceID: "t9", SpanID: "of another order"}, {TraceID: "t1", SpanID: "create", Attrs: map[string]string{attrPartition: "2", attrOffset: "17"}}}
	once := messaging("process", "orders", attrGroup, "notification-service", attrPartition, "2", attrOffset, "17", attrAttempts, "1")
	s.add("n1", "create", "notification", "process orders", 35, 50, once...)
	s.add("mail", "n1", "notification", "send mail", 36, 40, attrMailKind, "CONFIRMATION")
	s.add("n2", "create", "notification", "process orders", 2000, 2001, once...)
	dead := s.add("i1", "create", "inventory", "process orders", 36, 1500, messaging("process", "orders", attrGroup, "inventory-service",
		attrPartition, "2", attrOffset, "17", attrAttempts, "3", attrOutcome, "dead_letter")...)
	dead.Failed, dead.Message = true, "disk on fire"
	s.add("dlq", "i1", "inventory", "send orders-dlq", 1400, 1410, messaging("send", "orders-dlq", attrPartition, "0", attrOffset, "3")...)
	s.add("look", "", "order", "GET /orders/{order_id}", 500, 501, attrMethod, "GET").Kind = span.Server

	tree := Build("x", s, Options{})
	golden(t, "failures.txt", Render(tree, terminal.Plain(nil)))
	if !tree.Complete() { // inventory gave up: no event of it will ever come
		t.Errorf("missing: %v", tree.Missing)
	}
}

// A message on its long way: tries, a wait, tries, the dead letter topic, a redrive. And
// another of its key that waits behind it.
func TestBuild_RetriesAndRedrive(t *testing.T) {
	t.Parallel()
	var s story
	s.add("post", "", "order", "POST /orders", 0, 9, attrStatus, "201", attrMethod, "POST").Kind = span.Server
	s.add("create", "post", "order", "create orders", 3, 3.1, messaging("create", "orders")...)
	sent := s.add("send", "", "order", "send orders", 10, 20, messaging("send", "orders")...)
	sent.TraceID, sent.Links = "t2", []span.Link{{TraceID: "t1", SpanID: "create", Attrs: map[string]string{attrPartition: "2", attrOffset: "17"}}}
	process := func(id string, from, to float64, more ...string) *span.Span {
		return s.add(id, "create", "inventory", "process orders", from, to, append(messaging("process", "orders",
			attrGroup, "inventory-service", attrPartition, "2", attrOffset, "17", attrQueue, "3"), more...)...)
	}
	fails := func(sp *span.Span) { sp.Failed, sp.Message = true, "disk on fire" }
	fails(process("i1", 36, 1500, attrAttempts, "3", attrOutcome, "delayed"))
	again := s.add("again", "i1", "inventory", "send orders-retry-inventory-service", 1501, 1505,
		messaging("send", "orders-retry-inventory-service", attrPartition, "1", attrOffset, "5")...)
	again.Links = []span.Link{{TraceID: "t1", SpanID: "create"}}
	if tree := Build("x", s, Options{}); tree.Complete() {
		t.Error("a message that waits for its next try counts as processed")
	}
	fails(process("i2", 6501, 8000, attrAttempts, "6", attrBefore, "3", attrRetry, "delay", attrOutcome, "dead_letter"))
	s.add("dlq", "i2", "inventory", "send orders-dlq", 8000, 8010, messaging("send", "orders-dlq", attrPartition, "0", attrOffset, "3")...)
	redriven := process("i3", 60000, 60010, attrAttempts, "7", attrBefore, "6", attrRetry, "redrive", attrOutcome, "ok")
	redriven.Links = []span.Link{{TraceID: "t1", SpanID: "create"}, {TraceID: "t5", SpanID: "redrive", Attrs: map[string]string{attrRedrive: "0192-7f"}}}
	parked := messaging("process", "orders", attrGroup, "notification-service", attrPartition, "2", attrOffset, "17")
	s.add("n1", "create", "notification", "process orders", 40, 41, append(parked, attrAttempts, "0", attrOutcome, "parked")...)
	s.add("n2", "create", "notification", "process orders", 1050, 1052, append(parked, attrAttempts, "1", attrBefore, "0", attrRetry, "parked", attrOutcome, "ok")...)

	golden(t, "retries.txt", Render(Build("x", s, Options{}), terminal.Plain(nil)))
}

// With links only, each processing is a trace of its own and still finds its place.
func TestBuild_LinksOnly(t *testing.T) {
	t.Parallel()
	var s story
	s.add("post", "", "order", "POST /orders", 0, 9).Kind = span.Server
	s.add("create", "post", "order", "create orders", 3, 3.1, messaging("create", "orders")...)
	process := s.add("i1", "", "inventory", "process orders", 36, 40, messaging("process", "orders", attrGroup, "inventory-service", attrQueue, "12.5")...)
	process.TraceID, process.Links = "t2", []span.Link{{TraceID: "t1", SpanID: "create"}}
	tree := Build("x", s, Options{})
	golden(t, "links_only.txt", Render(tree, terminal.Plain(nil)))
	if len(tree.Missing) != 3 {
		t.Errorf("missing: %v", tree.Missing)
	}
}

func TestBuild_StrangeSpans(t *testing.T) {
	t.Parallel()
	for name, spans := range map[string]func(*story){
		"none":         func(*story) {},
		"own parent":   func(s *story) { s.add("a", "a", "x", "a", 0, 1) },
		"circle":       func(s *story) { s.add("a", "b", "x", "a", 0, 1); s.add("b", "a", "x", "b", 0, 1) },
		"ends earlier": func(s *story) { s.add("a", "", "x", "a", 5, 1) },
		"link circle": func(s *story) {
			s.add("a", "", "x", "a", 0, 1).Links = []span.Link{{SpanID: "b"}}
			s.add("b", "", "x", "b", 0, 1).Links = []span.Link{{SpanID: "a"}}
		},
		"only statements": func(s *story) { s.add("a", "", "x", "SELECT", 0, 1, "db.system.name", "postgresql") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s story
			spans(&s)
			for _, all := range []bool{false, true} {
				tree := Build("x", s, Options{All: all})
				_ = Render(tree, terminal.Plain(nil))
				if _, err := json.Marshal(tree); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestRender_FailureIsRed(t *testing.T) {
	t.Parallel()
	var s story
	sp := s.add("a", "", "x", "GET /", 0, 1)
	sp.Kind, sp.Failed, sp.Message = span.Server, true, "boom"
	got := Render(Build("x", s, Options{}), terminal.Output{Colour: true, Unicode: true})
	if !strings.Contains(got, "\x1b[31mFAILED: boom\x1b[0m") {
		t.Errorf("got %q", got)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	for _, d := range []time.Duration{0, 1234, 9994 * time.Microsecond, 9996 * time.Microsecond, 999 * time.Millisecond, 999600 * time.Microsecond, 90 * time.Second, -time.Millisecond} {
		fmt.Fprint(&got, Duration(d), "; ")
	}
	if want := "0.00 ms; 0.00 ms; 9.99 ms; 10 ms; 999 ms; 1.00 s; 1m30s; -1.00 ms; "; got.String() != want {
		t.Errorf("got  %s\nwant %s", got.String(), want)
	}
}
