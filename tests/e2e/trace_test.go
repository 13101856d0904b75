//go:build unix

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"millrace/internal/datadir"
	"millrace/internal/shopclient"
	"millrace/pkg/fault"
)

var update = flag.Bool("update", false, "write the golden traces anew; read the difference before you commit it")

// An order's whole way, as it is recorded: HTTP → Postgres → outbox → Kafka → both groups → Postgres and SMTP, with names, kinds, parents,
// links and attributes by the OpenTelemetry conventions for messaging.
func TestTrace_Golden(t *testing.T) {
	u := startUp(t, newData(t), "--quiet")
	shop := u.waitReady()
	order := place(t, shop)
	u.golden(t, shop, order, "order")
	checkLogs(t, u.data, order, true)
}

// The same where things go wrong: three tries of the inventory, a wait, three more, the dead letter, its redrive; and
// a mail that needs a second one. All of it stays in the order's trace, or with TRACE_CONSUMER=link beside it, one link away.
func TestTrace_GoldenWithFailures(t *testing.T) {
	for _, relation := range []string{"child+link", "link"} {
		t.Run(relation, func(t *testing.T) {
			u := startUpIn(t, append(environ(), "TRACE_CONSUMER="+relation, "RETRY_INITIAL_WAIT=10ms", "RETRY_DELAYS=200ms"), newData(t), "--quiet", "--faults")
			shop := u.waitReady()
			setFault(t, shop, "inventory", "consume.before-effect=error,times=6")
			setFault(t, shop, "notification", "consume.before-effect=error,times=1,match.topic=orders")
			order := place(t, shop)
			var letter string
			u.eventually("the dead letter is listed", func() error {
				var list struct {
					Letters []struct {
						ID string `json:"id"`
					} `json:"letters"`
				}
				out := millrace(t, "dlq", "list", "--data", u.data, "-o", "json")
				if err := json.Unmarshal([]byte(out), &list); err != nil {
					t.Fatalf("dlq list: %v\n%s", err, out)
				}
				if len(list.Letters) != 1 {
					return fmt.Errorf("%d letters", len(list.Letters))
				}
				letter = list.Letters[0].ID
				return nil
			})
			millrace(t, "dlq", "redrive", letter, "--data", u.data)
			u.golden(t, shop, order, "failures-"+strings.ReplaceAll(relation, "+", "-"))
			checkLogs(t, u.data, order, relation == "child+link")
		})
	}
}

// placed is an order with the trace that its request began.
type placed struct{ id, trace string }

// place places the first order of a shop.
func place(t *testing.T, shop datadir.Shop) placed {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, shop.OrderURL+"/orders",
		strings.NewReader(`{"customer_id":"customer_123","items":[{"product_id":"coffee-beans","quantity":2}]}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "golden")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var o struct {
		OrderID string `json:"order_id"`
		TraceID string `json:"trace_id"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&o); err != nil || answer.StatusCode != http.StatusCreated || o.TraceID == "" {
		t.Fatalf("%d %+v %v", answer.StatusCode, o, err)
	}
	return placed{o.OrderID, o.TraceID}
}

// setFault puts a rule in a part.
func setFault(t *testing.T, shop datadir.Shop, part, rule string) {
	t.Helper()
	rules, err := fault.ParseRules(rule)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(shop.Parts, func(p datadir.Part) bool { return p.Name == part })
	if i < 0 {
		t.Fatalf("no part %s", part)
	}
	client := shopclient.New("http://" + shop.Parts[i].Address)
	defer client.Close()
	for _, r := range rules {
		if _, err := client.SetFault(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

// golden waits until the order's spans are those of testdata/trace/NAME.golden.
func (u *up) golden(t *testing.T, shop datadir.Shop, order placed, name string) {
	t.Helper()
	file := filepath.Join("testdata", "trace", name+".golden")
	want, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	client := shopclient.New(shop.CollectorURL)
	defer client.Close()
	var got string
	fetch := func() string {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		spans, err := client.OrderSpans(ctx, order.id)
		if err != nil {
			t.Fatal(err)
		}
		return storyOf(spans, order)
	}
	if *update {
		// Complete is what does not change any more; the first update of a test wants a look.
		same := 0
		u.eventually("the trace comes to its end", func() error {
			now := fetch()
			if same++; now != got || now == "" {
				same, got = 0, now
			}
			if same < 100 { // times the pause of eventually: longer than spans are held back
				return fmt.Errorf("still growing")
			}
			return nil
		})
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil { //nolint:gosec // a file of the repository
			t.Fatal(err)
		}
		return
	}
	const longEnough = 30 * time.Second
	for deadline := time.Now().Add(longEnough); ; {
		if got = fetch(); got == string(want) {
			return
		}
		if time.Now().After(deadline) {
			break
		}
		select {
		case <-u.exited:
			t.Fatal("up has ended")
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Errorf("the trace is not that of %s:\n%s", file, difference(string(want), got))
}

// difference shows the lines that two texts do not have in common, with their neighbours.
func difference(want, got string) string {
	dir, err := os.MkdirTemp("", "trace")
	if err != nil {
		return got
	}
	defer func() { _ = os.RemoveAll(dir) }()
	a, b := filepath.Join(dir, "want"), filepath.Join(dir, "got")
	if os.WriteFile(a, []byte(want), 0o600) != nil || os.WriteFile(b, []byte(got), 0o600) != nil {
		return got
	}
	return diffOf(a, b)
}

// checkLogs checks that what a service logs about an order carries a trace id, and where all is one trace, the order's.
func checkLogs(t *testing.T, data string, order placed, oneTrace bool) {
	t.Helper()
	for _, service := range []string{"order", "inventory", "notification"} {
		log, err := os.ReadFile(filepath.Join(data, "logs", service+".log"))
		if err != nil {
			t.Fatal(err)
		}
		about := 0
		want := "trace_id="
		if oneTrace {
			want += order.trace
		}
		for line := range bytes.Lines(log) {
			if bytes.Contains(line, []byte(order.id)) {
				about++
				if !bytes.Contains(line, []byte(want)) {
					t.Errorf("%s: a line about the order has no %s: %s", service, want, line)
				}
			}
		}
		if about == 0 {
			t.Errorf("%s has logged nothing about the order", service)
		}
	}
}
