package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/broker/brokertest"
	"millrace/internal/terminal"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"millrace": func() {
		os.Exit(run(context.Background(), os.Args[1:], &program{
			stdin: os.Stdin, stdout: terminal.Detect(os.Stdout, os.Getenv), stderr: terminal.Detect(os.Stderr, os.Getenv),
			environ: os.Environ(),
		}))
	}})
}

// Each script is a story of a user at the command line. They talk to a small
// server in place of the order service and the collector; $SHOP is its address.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"produce": produce, "consumed": consumed},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			server := httptest.NewServer(fakeShop(t))
			e.Defer(server.Close)
			e.Setenv("SHOP", server.URL)
			if strings.Contains(filepath.Base(e.WorkDir), "dlq") {
				e.Setenv("KAFKA_BROKERS", brokertest.Start(t).Addr)
				e.Setenv("TMPDIR", e.WorkDir)
			}
			return nil
		},
	})
}

// produce TOPIC FILE [KEY] writes each line of a file as a record to partition 0 of a
// topic, which is made with two partitions.
func produce(ts *testscript.TestScript, _ bool, args []string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(ts.Getenv("KAFKA_BROKERS")), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(20*time.Millisecond))
	ts.Check(err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, 2, 1, nil, args[0]); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		ts.Fatalf("create topic %s: %v", args[0], err)
	}
	for line := range strings.Lines(ts.ReadFile(args[1])) {
		r := &kgo.Record{Topic: args[0], Value: []byte(strings.TrimSuffix(line, "\n"))}
		if len(args) > 2 {
			r.Key = []byte(args[2])
		}
		ts.Check(client.ProduceSync(ctx, r).FirstErr())
	}
}

// consumed TOPIC N: a topic holds N records; their values and headers are on stdout.
func consumed(ts *testscript.TestScript, _ bool, args []string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(ts.Getenv("KAFKA_BROKERS")), kgo.ConsumeTopics(args[0]), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ts.Check(err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, args[0])
	ts.Check(err)
	want := int64(0)
	ends.Each(func(o kadm.ListedOffset) { want += o.Offset })
	if args[1] != strconv.FormatInt(want, 10) {
		ts.Fatalf("topic %s holds %d records, want %s", args[0], want, args[1])
	}
	for n := int64(0); n < want; {
		fetches := client.PollFetches(ctx)
		ts.Check(fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			n++
			fmt.Fprintf(ts.Stdout(), "%s\n", r.Value)
			for _, h := range r.Headers {
				fmt.Fprintf(ts.Stdout(), "%s: %s\n", h.Key, h.Value)
			}
		})
	}
}

// fakeShop answers as the order service and the collector do (openapi.yaml).
func fakeShop(t *testing.T) http.Handler {
	t.Helper()
	order := func(status string) map[string]any {
		return map[string]any{
			"order_id": "019ab1f6-7a3c-7d52-9c0e-6f2a8d4b1c90", "customer_id": "customer_123", "status": status,
			"items":    []any{map[string]any{"product_id": "coffee-beans", "quantity": 2, "unit_price": json.RawMessage("12.50")}},
			"total":    json.RawMessage("25.00"),
			"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "created_at": "2026-11-22T08:15:30.123456Z", "updated_at": "2026-11-22T08:15:31Z",
		}
	}
	spans, err := os.ReadFile("../../internal/tracetree/testdata/one_order.json")
	if err != nil {
		t.Fatal(err)
	}
	answer := func(w http.ResponseWriter, status int, contentType string, v any) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	const isJSON, isProblem = "application/json", "application/problem+json"
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		var o struct {
			Items []struct {
				ProductID string `json:"product_id"`
			} `json:"items"`
		}
		_ = json.NewDecoder(r.Body).Decode(&o)
		if o.Items[0].ProductID != "coffee-beans" {
			answer(w, 422, isProblem, map[string]any{"type": "/problems/invalid-order", "title": "The order breaks a rule", "status": 422, "errors": []any{
				map[string]any{"pointer": "/items/0/product_id", "rule": "unknownProduct", "detail": "no such product; GET /products lists them"},
			}})
			return
		}
		w.Header().Set("Location", "/orders/x")
		answer(w, 201, isJSON, order("PENDING"))
	})
	mux.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
		page := map[string]any{"orders": []any{}}
		if r.FormValue("customer_id") == "" {
			page = map[string]any{"orders": []any{order("CONFIRMED")}, "next_cursor": "abc"}
		}
		answer(w, 200, isJSON, page)
	})
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") == "nope" {
			answer(w, 404, isProblem, map[string]any{"type": "/problems/not-found", "title": "There is no such order", "status": 404})
			return
		}
		answer(w, 200, isJSON, order("CONFIRMED"))
	})
	mux.HandleFunc("GET /products", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, isJSON, map[string]any{"products": []any{map[string]any{"product_id": "coffee-beans", "name": "Coffee beans, 500 g", "price": json.RawMessage("12.50")}}})
	})
	mux.HandleFunc("GET /api/orders/{id}/spans", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", isJSON)
		if r.PathValue("id") == "one" {
			_, _ = w.Write(spans)
			return
		}
		_, _ = w.Write([]byte(`{"spans":[]}`))
	})
	fakeControl(mux)
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /notready", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 503, isJSON, map[string]string{"status": "unavailable"})
	})
	return mux
}
