package collector

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	collectorpb "go.opentelemetry.io/proto/slim/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/slim/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/slim/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/slim/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// spec is a span in short: trace and span are small numbers.
type spec struct {
	trace, span, parent byte
	name, order         string
	linkTrace, linkSpan byte
}

func tid(n byte) []byte { return append(bytes.Repeat([]byte{0}, 15), n) }
func sid(n byte) []byte { return append(bytes.Repeat([]byte{0}, 7), n) }
func hexTID(n int) string {
	return fmt.Sprintf("%032x", n)
}

func str(k, v string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: k, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v}}}
}

func request(t testing.TB, service string, specs ...spec) []byte {
	t.Helper()
	var spans []*tracepb.Span
	for _, s := range specs {
		sp := &tracepb.Span{
			TraceId: tid(s.trace), SpanId: sid(s.span), Name: s.name, Kind: tracepb.Span_SPAN_KIND_CONSUMER,
			StartTimeUnixNano: uint64(s.span) * 1e6, EndTimeUnixNano: uint64(s.span)*1e6 + 5e5,
		}
		if s.parent != 0 {
			sp.ParentSpanId = sid(s.parent)
		}
		if s.order != "" {
			sp.Attributes = []*commonpb.KeyValue{str("x", "y"), str("order.id", s.order)}
		}
		if s.linkTrace != 0 {
			sp.Links = []*tracepb.Span_Link{{TraceId: tid(s.linkTrace), SpanId: sid(s.linkSpan)}}
		}
		spans = append(spans, sp)
	}
	b, err := proto.Marshal(&collectorpb.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{
		Resource:   &resourcepb.Resource{Attributes: []*commonpb.KeyValue{str("service.name", service)}},
		ScopeSpans: []*tracepb.ScopeSpans{{Spans: spans}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openStore(t testing.TB, dir string, l Limits) *Store {
	t.Helper()
	s, err := OpenStore(dir, l, maxUnpacked)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func names(t *testing.T, s *Store, order string) []string {
	t.Helper()
	spans, err := s.Order(order)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, sp := range spans {
		list = append(list, sp.Service+":"+sp.Name)
	}
	return list
}

func add(t testing.TB, s *Store, body []byte) {
	t.Helper()
	if err := s.Add(body); err != nil {
		t.Fatal(err)
	}
}

func TestStore_OrderJoinsTracesLinksAndNames(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir(), DefaultLimits)
	add(t, s, request(t, "order",
		spec{trace: 1, span: 1, name: "POST /orders"},
		spec{trace: 1, span: 2, parent: 1, name: "create orders", order: "A"},
		spec{trace: 2, span: 3, name: "POST /orders"},
		spec{trace: 2, span: 4, parent: 3, name: "create orders", order: "B"},
		// one batch of the relay: a trace about two orders
		spec{trace: 9, span: 5, name: "relay batch"},
		spec{trace: 9, span: 6, parent: 5, name: "send A", order: "A", linkTrace: 1, linkSpan: 2},
		spec{trace: 9, span: 7, parent: 5, name: "send B", order: "B", linkTrace: 2, linkSpan: 4},
	))
	add(t, s, request(t, "inventory", spec{trace: 1, span: 8, parent: 2, name: "process orders"}))
	add(t, s, request(t, "elsewhere", spec{trace: 8, span: 9, name: "looks at it", linkTrace: 1, linkSpan: 8}))
	want := []string{"order:POST /orders", "order:create orders", "order:send A", "inventory:process orders", "elsewhere:looks at it"}
	if got := names(t, s, "A"); !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	if got := names(t, s, "nobody"); got != nil {
		t.Fatalf("unknown order: %q", got)
	}
}

func TestStore_SpansSentTwiceAreOne(t *testing.T) {
	t.Parallel()
	s := openStore(t, t.TempDir(), DefaultLimits)
	body := request(t, "order", spec{trace: 1, span: 2, name: "x", order: "A"})
	add(t, s, body)
	add(t, s, body)
	if got := names(t, s, "A"); len(got) != 1 {
		t.Fatalf("got %q", got)
	}
}

func TestStore_SurvivesRestartAndTornTail(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, DefaultLimits)
	add(t, s, request(t, "order", spec{trace: 1, span: 1, name: "first", order: "A"}))
	add(t, s, request(t, "order", spec{trace: 1, span: 2, name: "second", order: "A"}))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, segmentName(1))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-3); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, DefaultLimits)
	if got, want := names(t, s, "A"), []string{"order:first"}; !slices.Equal(got, want) {
		t.Fatalf("after the tear: %q, want %q", got, want)
	}
	add(t, s, request(t, "order", spec{trace: 1, span: 3, name: "third", order: "A"}))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir, DefaultLimits)
	if got, want := names(t, s, "A"), []string{"order:first", "order:third"}; !slices.Equal(got, want) {
		t.Fatalf("after the restart: %q, want %q", got, want)
	}
}

func TestStore_DropsTheOldestTracesWhole(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]Limits{
		"by bytes": {Bytes: 8 << 10, Spans: 1e6},
		"by spans": {Bytes: 1 << 30, Spans: 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := openStore(t, dir, limits)
			for i := range byte(200) {
				order := fmt.Sprintf("order-%03d", i)
				add(t, s, request(t, "order",
					spec{trace: i + 1, span: 1, name: "root"}, spec{trace: i + 1, span: 2, parent: 1, name: "create", order: order}))
			}
			stats := s.Stats()
			if stats.Spans > limits.Spans || stats.Bytes > limits.Bytes {
				t.Fatalf("over the limits: %+v", stats)
			}
			if got := names(t, s, "order-199"); len(got) != 2 {
				t.Fatalf("newest: %q", got)
			}
			if got := names(t, s, "order-000"); got != nil {
				t.Fatalf("oldest is still there: %q", got)
			}
			if stats.Traces != stats.Orders || stats.Spans != 2*stats.Traces {
				t.Fatalf("halves of traces are left: %+v", stats)
			}
			files, err := os.ReadDir(dir)
			if err != nil || len(files) > 2*segmentsPerStore {
				t.Fatalf("%d files, %v", len(files), err)
			}
		})
	}
}

func newServer(t *testing.T, forward *Forwarder) (*httptest.Server, *Store) {
	t.Helper()
	s := openStore(t, t.TempDir(), DefaultLimits)
	server := httptest.NewServer(NewHandler(s, forward, slog.New(slog.DiscardHandler)))
	t.Cleanup(server.Close)
	return server, s
}

func post(t *testing.T, url, contentType, encoding string, body []byte) *http.Response {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url+"/v1/traces", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func zipped(t *testing.T, body []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestExport_Answers(t *testing.T) {
	t.Parallel()
	server, store := newServer(t, nil)
	good := request(t, "order", spec{trace: 1, span: 1, name: "x", order: "A"})
	noSpanID := request(t, "order", spec{trace: 1, span: 1, name: "x"})
	noSpanID = bytes.Replace(noSpanID, sid(1), sid(1)[:7], 1) // shifts everything: broken framing
	for _, c := range []struct {
		name, contentType, encoding string
		body                        []byte
		want                        int
	}{
		{"plain", protobufType, "", good, 200},
		{"gzip", protobufType, "gzip", zipped(t, good), 200},
		{"empty", protobufType, "", nil, 200},
		{"not protobuf", protobufType, "", []byte("hello, collector"), 400},
		{"cut off", protobufType, "", good[:len(good)-2], 400},
		{"broken inside", protobufType, "", noSpanID, 400},
		{"not gzip", protobufType, "gzip", good, 400},
		{"gzip cut off", protobufType, "gzip", zipped(t, good)[:20], 400},
		{"JSON", "application/json", "", []byte("{}"), 415},
		{"zstd", protobufType, "zstd", good, 415},
		{"too large", protobufType, "", make([]byte, maxBody+1), 413},
		{"a gzip bomb", protobufType, "gzip", zipped(t, make([]byte, maxUnpacked+1)), 413},
	} {
		if res := post(t, server.URL, c.contentType, c.encoding, c.body); res.StatusCode != c.want {
			t.Errorf("%s: %s, want %d", c.name, res.Status, c.want)
		}
	}
	if got := names(t, store, "A"); len(got) != 1 {
		t.Errorf("stored %q", got)
	}
}

func TestQueries(t *testing.T) {
	t.Parallel()
	server, store := newServer(t, nil)
	add(t, store, request(t, "order", spec{trace: 7, span: 1, name: "x", order: "A"}))
	for path, want := range map[string]int{
		"/api/orders/A/spans":       1,
		"/api/orders/B/spans":       0,
		"/api/traces/" + hexTID(7):  1,
		"/api/traces/" + hexTID(99): 0,
	} {
		res, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		var answer Answer
		if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.Spans == nil || len(answer.Spans) != want {
			t.Errorf("%s: %d spans, %v; want %d", path, len(answer.Spans), err, want)
		}
		_ = res.Body.Close()
	}
	for path, want := range map[string]int{"/api/traces/xyz": 400, "/api/stats": 200, "/readyz": 200, "/healthz": 200} {
		res, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, res.Status, want)
		}
	}
}

func TestForwarder_PassesOnWithHeaders(t *testing.T) {
	t.Parallel()
	type seen struct {
		path, auth string
		body       []byte
	}
	got := make(chan seen, 10)
	busy := true
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if busy {
			busy = false
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		b, _ := io.ReadAll(r.Body)
		got <- seen{r.URL.Path, r.Header.Get("Authorization"), b}
	}))
	defer other.Close()
	f, err := NewForwarder(other.URL+"/base", "authorization=Bearer%20x, other=1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f.Run(ctx) }()
	server, _ := newServer(t, f)
	body := request(t, "order", spec{trace: 1, span: 1, name: "x"})
	post(t, server.URL, protobufType, "gzip", zipped(t, body))
	s := <-got
	if s.path != "/base/v1/traces" || s.auth != "Bearer x" || !bytes.Equal(s.body, body) {
		t.Fatalf("got %s %q, %d bytes", s.path, s.auth, len(s.body))
	}
	cancel()
	<-done
}

func TestForwarder_DropsTheOldest(t *testing.T) {
	t.Parallel()
	f, err := NewForwarder("http://127.0.0.1:1", "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for i := range byte(5) {
		f.Add(bytes.Repeat([]byte{i}, maxForwardQueue/2))
	}
	if body, dropped := f.take(); body[0] != 3 || dropped != 3 {
		t.Fatalf("first left is %d, dropped %d", body[0], dropped)
	}
	for _, endpoint := range []string{"localhost:4317", "grpc://x:1", "http://", "%"} {
		if _, err := NewForwarder(endpoint, "", nil); err == nil || !strings.Contains(err.Error(), "allowed") {
			t.Errorf("endpoint %q: %v", endpoint, err)
		}
	}
}

func TestRun_StopsAndKeeps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 3 { // start and stop
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		if err := Run(ctx, Config{Listen: "127.0.0.1:0", Dir: dir}, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
}

// Whatever comes in: no panic, every span lies inside the body, and what is
// indexed can be read again.
func FuzzScanRequest(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(request(f, "order", spec{trace: 1, span: 1, name: "x", order: "A", linkTrace: 2, linkSpan: 1}))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := scanRequest(body)
		if err != nil {
			return
		}
		for _, sp := range s.spans {
			if sp.offset < 0 || sp.length < 0 || sp.offset+sp.length > len(body) || sp.resource >= len(s.resources) {
				t.Fatalf("span %+v in a body of %d bytes with %d resources", sp, len(body), len(s.resources))
			}
			if again, err := scanSpan(body[sp.offset : sp.offset+sp.length]); err != nil || again.trace != sp.trace {
				t.Fatalf("span read again: %+v, %v; want %+v", again, err, sp)
			}
		}
	})
}

func BenchmarkStore_Add(b *testing.B) {
	s := openStore(b, b.TempDir(), DefaultLimits)
	var specs []spec
	for i := range byte(200) {
		specs = append(specs, spec{trace: i + 1, span: 1, name: "process orders", order: fmt.Sprint("order-", i)})
	}
	body := request(b, "order", specs...)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		add(b, s, body)
	}
}
