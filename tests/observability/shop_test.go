package observability

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"millrace/broker/brokertest"
	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/pkg/postgres/postgrestest"
	"millrace/pkg/service/servicetest"
	inventoryapp "millrace/services/inventory/app"
	notificationapp "millrace/services/notification/app"
	orderapp "millrace/services/order/app"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// family is one metric as it is exposed.
type family struct {
	*dto.MetricFamily

	job    string
	labels map[string]map[string]bool // name → values seen
}

// exposed is what all programs of a shop expose once everything that is counted has happened in it.
type exposed struct {
	texts    map[string][]byte // by job, as /metrics answers
	families map[string][]family
}

var (
	exposedOnce sync.Once
	exposedNow  *exposed
)

// shop runs a shop in which an order passes, one fails for good and one fails at first, and scrapes it. It runs once for all tests.
func shop(t *testing.T) *exposed {
	t.Helper()
	exposedOnce.Do(func() { exposedNow = runShop(t) })
	if exposedNow == nil {
		t.Fatal("the shop was not scraped: see the first test")
	}
	return exposedNow
}

func runShop(t *testing.T) *exposed {
	t.Helper()
	broker := brokertest.Start(t, brokertest.WithHTTP())
	environ := func(more ...string) []string {
		return append([]string{
			"DATABASE_URL=" + postgrestest.NewURL(t), "KAFKA_BROKERS=" + broker.Addr, "FAULTS_ENABLED=true",
			"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", // nobody: spans are lost, and counted
		}, more...)
	}
	run := func(start func(ctx context.Context, l net.Listener, logs io.Writer) error) *servicetest.Running {
		return servicetest.Start(t, start)
	}
	orderConfig, err := orderapp.FromEnv(environ())
	if err != nil {
		t.Fatal(err)
	}
	inventoryConfig, err := inventoryapp.FromEnv(environ("FAULTS=consume.before-effect=error,match.order_id=fails;relay.after-publish=duplicate,times=1"))
	if err != nil {
		t.Fatal(err)
	}
	notificationConfig, err := notificationapp.FromEnv(environ("SMTP_ADDR=127.0.0.1:1", "WRONG_WAYS=unbounded-nack"))
	if err != nil {
		t.Fatal(err)
	}
	services := map[string]*servicetest.Running{
		"order": run(func(ctx context.Context, l net.Listener, logs io.Writer) error {
			orderConfig.Listener, orderConfig.Logs = l, logs
			return orderapp.Run(ctx, orderConfig)
		}),
		"inventory": run(func(ctx context.Context, l net.Listener, logs io.Writer) error {
			inventoryConfig.Listener, inventoryConfig.Logs = l, logs
			return inventoryapp.Run(ctx, inventoryConfig)
		}),
		"notification": run(func(ctx context.Context, l net.Listener, logs io.Writer) error {
			notificationConfig.Listener, notificationConfig.Logs = l, logs
			return notificationapp.Run(ctx, notificationConfig)
		}),
	}
	for _, s := range services {
		s.Ready()
	}
	const beans = `{"customer_id":"customer_123","items":[{"product_id":"coffee-beans","quantity":2}]}`
	if status, body := services["order"].Do(http.MethodPost, "/orders", beans); status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	kafka := messaging.DefaultConfig()
	kafka.Brokers = []string{broker.Addr}
	servicetest.Publish(t, kafka, "m-fails", events.OrderCreated{
		OrderID: "fails", CustomerID: "c", Items: []events.Item{{ProductID: "kettle", Quantity: 1}}, Total: 1, Timestamp: time.Now(),
	})
	services["order"].Answers("/metrics", http.StatusOK, `millrace_orders_total{status="CONFIRMED"} 1`)
	services["inventory"].Answers("/metrics", http.StatusOK, `messaging_dead_letters_pending{group="inventory-service",topic="orders-dlq"} 1`)
	services["order"].Answers("/metrics", http.StatusOK, "trace_spans_not_exported_total")
	services["order"].Answers("/metrics", http.StatusOK, "messaging_dead_letters_pending")
	services["notification"].Answers("/metrics", http.StatusOK, "messaging_dead_letters_pending")
	services["notification"].Answers("/metrics", http.StatusOK, `outcome="nacked"`)

	e := &exposed{texts: map[string][]byte{}, families: map[string][]family{}}
	for job, s := range services {
		_, text := s.Do(http.MethodGet, "/metrics", "")
		e.add(t, job, []byte(text+"\n"))
	}
	answer, err := http.Get("http://" + broker.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	e.add(t, "broker", text)
	return e
}

func (e *exposed) add(t *testing.T, job string, text []byte) {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	parsed, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("/metrics of %s: %v", job, err)
	}
	e.texts[job] = text
	for name, f := range parsed {
		labels := map[string]map[string]bool{"job": {job: true}, "instance": {}}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if labels[l.GetName()] == nil {
					labels[l.GetName()] = map[string]bool{}
				}
				labels[l.GetName()][l.GetValue()] = true
			}
		}
		names := []string{name}
		switch f.GetType() {
		case dto.MetricType_HISTOGRAM:
			names = []string{name + "_bucket", name + "_count", name + "_sum"}
			labels["le"] = map[string]bool{}
		case dto.MetricType_SUMMARY:
			names = []string{name, name + "_count", name + "_sum"}
			labels["quantile"] = map[string]bool{}
		}
		for _, n := range names {
			e.families[n] = append(e.families[n], family{f, job, labels})
		}
	}
}

// has tells whether a selector can match anything: a metric of that name with these labels, and where values are asked
// for exactly, with those values.
func (e *exposed) has(s selector) error {
	if s.metric == "up" { // Prometheus's own
		return nil
	}
	candidates := e.families[s.metric]
	if len(candidates) == 0 {
		return fmt.Errorf("nothing exposes %s", s.metric)
	}
	var why error
	for _, f := range candidates {
		if why = f.matches(s); why == nil {
			return nil
		}
	}
	return why
}

func (f family) matches(s selector) error {
	for _, label := range s.labels {
		values, ok := f.labels[label.name]
		if !ok {
			return fmt.Errorf("%s has no label %s", s.metric, label.name)
		}
		// Of labels whose values come from the shop, only some have been seen.
		if label.exact && len(values) > 0 && !values[label.value] && !open[label.name] {
			return fmt.Errorf("%s has no %s=%q", s.metric, label.name, label.value)
		}
	}
	return nil
}

// open are labels whose values are not all seen in one run.
var open = map[string]bool{"topic": true, "error": true, "class": true}

// ours tells whether a metric is one of this repository.
func ours(name string) bool {
	return !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") && !strings.HasPrefix(name, "promhttp_")
}
