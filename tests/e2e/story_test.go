//go:build unix

package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"

	"millrace/internal/span"
)

// A story is the text form of an order's spans, in which everything that differs from run to run has a name instead: each span is a
// line with its number, name, kind and service, below its parent; then its attributes, links and events.
type story struct {
	order   placed
	spans   map[string]*span.Span
	below   map[string][]*span.Span
	numbers map[string]int // by span id
	traces  map[string]int
	ids     map[string]string // of messages, letters, redrives: by the order in which they are told of
	text    strings.Builder
}

func storyOf(spans []span.Span, order placed) string {
	s := &story{order: order, spans: map[string]*span.Span{}, below: map[string][]*span.Span{}, numbers: map[string]int{}, traces: map[string]int{}, ids: map[string]string{}}
	var roots []*span.Span
	for i := range spans {
		if !bystander(&spans[i]) {
			s.spans[spans[i].SpanID] = &spans[i]
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.spans)) {
		p := s.spans[id]
		if s.spans[p.ParentID] == nil {
			roots = append(roots, p)
		} else {
			s.below[p.ParentID] = append(s.below[p.ParentID], p)
		}
	}
	// The request first, then what stands beside it by its name.
	slices.SortFunc(roots, func(a, b *span.Span) int {
		return cmp.Or(-cmp.Compare(isRequest(a), isRequest(b)), cmp.Compare(a.Name, b.Name), siblings(a, b))
	})
	for _, r := range roots {
		s.number(r)
	}
	for _, r := range roots {
		fmt.Fprintf(&s.text, "trace %d\n", s.traces[r.TraceID])
		s.tell(r, 1)
	}
	return s.text.String()
}

// bystander is a span that is not of the order's way: statements are prepared at their first use on a connection, and who looks
// whether an order is done leaves a trace, too.
func bystander(s *span.Span) bool {
	return s.Attrs["pgx.prepare_stmt.name"] != "" || s.Attrs["http.request.method"] == "GET" || strings.HasPrefix(strings.TrimSpace(s.Attrs["db.query.text"]), "SELECT o.order_id")
}

func isRequest(s *span.Span) int {
	if s.Kind == span.Server {
		return 1
	}
	return 0
}

// siblings orders spans: what one service does by its time, services by their names.
func siblings(a, b *span.Span) int {
	return cmp.Or(cmp.Compare(a.Service, b.Service), a.Start.Compare(b.Start))
}

func (s *story) number(p *span.Span) {
	s.numbers[p.SpanID] = len(s.numbers) + 1
	if _, ok := s.traces[p.TraceID]; !ok {
		s.traces[p.TraceID] = len(s.traces) + 1
	}
	slices.SortFunc(s.below[p.SpanID], siblings)
	for _, c := range s.below[p.SpanID] {
		s.number(c)
	}
}

func (s *story) tell(p *span.Span, depth int) {
	indent := strings.Repeat("  ", depth)
	failed := ""
	if p.Failed {
		failed = " FAILED: " + s.value("", p.Message)
	}
	fmt.Fprintf(&s.text, "%s#%d %s (%s, %s)%s\n", indent, s.numbers[p.SpanID], p.Name, p.Kind, p.Service, failed)
	s.attributes(indent+"    ", p.Attrs)
	for _, l := range p.Links {
		where := "a span that is not there"
		if n := s.numbers[l.SpanID]; n != 0 {
			where = fmt.Sprintf("#%d %s", n, s.spans[l.SpanID].Name)
		}
		fmt.Fprintf(&s.text, "%s    link to %s\n", indent, where)
		s.attributes(indent+"        ", l.Attrs)
	}
	for _, e := range p.Events {
		fmt.Fprintf(&s.text, "%s    event %s\n", indent, e.Name)
		s.attributes(indent+"        ", e.Attrs)
	}
	for _, c := range s.below[p.SpanID] {
		s.tell(c, depth+1)
	}
}

func (s *story) attributes(indent string, attrs map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(attrs)) {
		fmt.Fprintf(&s.text, "%s%s = %s\n", indent, key, s.value(key, attrs[key]))
	}
}

var (
	uuidForm   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	letterForm = regexp.MustCompile(`^([a-z-]+)/\d+/\d+$`)
)

// value gives what differs from run to run a name.
func (s *story) value(key, value string) string {
	switch {
	case strings.HasSuffix(key, "_ms"):
		return "MILLISECONDS"
	case strings.HasSuffix(key, ".port"):
		return "PORT"
	case strings.HasSuffix(key, ".partition.id"), strings.HasSuffix(key, ".partition"):
		return "PARTITION"
	case strings.HasSuffix(key, ".offset"):
		return "OFFSET"
	case strings.HasSuffix(key, ".body.size"):
		return "SIZE"
	case key == "exception.stacktrace":
		return "STACK"
	case key == "db.query.text": // which statement, not how it is put
		words := strings.Fields(value)
		return strings.Join(words[:min(6, len(words))], " ") + " …"
	case strings.Contains(key, "redrive"):
		return s.id("REDRIVE", value)
	}
	if m := letterForm.FindStringSubmatch(value); m != nil {
		return m[1] + "/PARTITION/OFFSET"
	}
	value = strings.ReplaceAll(value, s.order.id, "ORDER")
	return uuidForm.ReplaceAllStringFunc(value, func(id string) string { return s.id("MESSAGE", id) })
}

// id names an id by when it is told of first.
func (s *story) id(kind, id string) string {
	if s.ids[id] == "" {
		n := 1
		for _, name := range s.ids {
			if strings.HasPrefix(name, kind) {
				n++
			}
		}
		s.ids[id] = fmt.Sprintf("%s-%d", kind, n)
	}
	return s.ids[id]
}

// diffOf is what diff -u says of two files.
func diffOf(want, got string) string {
	out, _ := exec.Command("diff", "-u", want, got).CombinedOutput() // differing files are its exit code 1
	return string(out)
}
