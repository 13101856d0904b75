package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/pkg/postgres/postgrestest"
	"millrace/pkg/service/servicetest"
	"millrace/services/order/app"
)

func TestMain(m *testing.M) {
	code := postgrestest.Main(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func TestReadmeHasTheSettings(t *testing.T) { servicetest.Readme(t, "../README.md", &app.Config{}) }

func TestFromEnv(t *testing.T) {
	t.Parallel()
	c, err := app.FromEnv([]string{"DATABASE_URL=postgres://u:p@h/d", "DRAIN_TIMEOUT=", "KAFKA_BROKERS=a:1,b:2"})
	if err != nil || c.HTTPAddr != "127.0.0.1:8081" || c.DrainTimeout != 10*time.Second || len(c.Kafka.Brokers) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []struct{ set, value, allowed string }{
		{"DATABASE_URL=", "", "postgres://"},
		{"HTTP_ADDR=8081", "8081", "host:port"},
		{"DRAIN_TIMEOUT=ten", "ten", "duration"},
		{"DRAIN_TIMEOUT=-1s", "-1s", "duration above 0"},
		{"IDEMPOTENCY_KEEP=1s", "1s", "from 1m"},
		{"INBOX_KEEP=1s", "1s", "from 1h"},
		{"TRACE_CONSUMER=parent", "parent", "child+link or link"},
		{"KAFKA_TLS_ENABLED=maybe", "maybe", "true or false"},
		{"DATABASE_MAX_CONNS=many", "many", "whole number"},
		{"LOG_LEVEL=loud", "loud", "debug, info, warn or error"},
	} {
		_, err := app.FromEnv([]string{"DATABASE_URL=postgres://u:p@h/d", bad.set})
		name, _, _ := strings.Cut(bad.set, "=")
		if bad.value == "" {
			_, err = app.FromEnv(nil)
		}
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), bad.value) || !strings.Contains(err.Error(), bad.allowed) {
			t.Errorf("%s: %v", bad.set, err)
		}
	}
}

// start runs the service with a broker and a database.
func start(t *testing.T, kafka messaging.Config, databaseURL string) *servicetest.Running {
	t.Helper()
	c, err := app.FromEnv([]string{"DATABASE_URL=" + databaseURL, "LOG_LEVEL=debug"})
	if err != nil {
		t.Fatal(err)
	}
	c.Kafka = kafka
	return servicetest.Start(t, func(ctx context.Context, l net.Listener, logs io.Writer) error {
		c.Listener, c.Logs = l, logs
		return app.Run(ctx, c)
	})
}

const beans = `{"customer_id":"customer_123","items":[{"product_id":"coffee-beans","quantity":2}]}`

type placed struct {
	OrderID string    `json:"order_id"`
	Status  string    `json:"status"`
	Created time.Time `json:"created_at"`
}

func place(t *testing.T, s *servicetest.Running) (p placed) {
	t.Helper()
	status, body := s.Do(http.MethodPost, "/orders", beans)
	if err := json.Unmarshal([]byte(body), &p); status != http.StatusCreated || err != nil {
		t.Fatalf("%d %s", status, body)
	}
	return p
}

// An order goes out as an event in the course's form, and its outcome comes back.
func TestRun_OrderGoesOutAndOutcomeComesIn(t *testing.T) {
	t.Parallel()
	kafka := servicetest.Broker(t)
	s := start(t, kafka, postgrestest.NewURL(t))
	s.Ready()
	o := place(t, s)

	record := servicetest.Records(t, kafka, events.TopicOrders, 1)[0]
	want := fmt.Sprintf(`{"event_type":"ORDER_CREATED","order_id":"%s","customer_id":"customer_123","items":[{"product_id":"coffee-beans","quantity":2}],"total":25.00,"timestamp":"%s"}`,
		o.OrderID, o.Created.UTC().Format("2006-01-02T15:04:05.000Z07:00")) // the event keeps milliseconds
	if string(record.Key) != o.OrderID || string(record.Value) != want {
		t.Errorf("key %s, value\n%s\nwant\n%s", record.Key, record.Value, want)
	}
	servicetest.Publish(t, kafka, "m-1", events.InventoryReserved{
		OrderID: o.OrderID, CustomerID: "customer_123", Items: []events.Item{{ProductID: "coffee-beans", Quantity: 2}}, Timestamp: time.Now(),
	})
	s.Answers("/orders/"+o.OrderID, http.StatusOK, `"status":"CONFIRMED"`)
	s.Answers("/metrics", http.StatusOK, `millrace_orders_total{status="CONFIRMED"} 1`)
	s.Answers("/metrics", http.StatusOK, `millrace_orders_total{status="PENDING"} 1`)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	if logs := s.Logs.String(); !strings.Contains(logs, "order_id="+o.OrderID) || strings.Contains(logs, "level=ERROR") {
		t.Errorf("log:\n%s", logs)
	}
}

// An outcome that contradicts the order's, and one of an unknown order, end in the
// dead letter topic, and the partition goes on.
func TestRun_ImpossibleOutcomesBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	kafka := servicetest.Broker(t)
	s := start(t, kafka, postgrestest.NewURL(t))
	s.Ready()
	o := place(t, s)
	reserved := events.InventoryReserved{OrderID: o.OrderID, CustomerID: "c", Items: []events.Item{{ProductID: "kettle", Quantity: 1}}, Timestamp: time.Now()}
	servicetest.Publish(t, kafka, "m-1", reserved)
	s.Answers("/orders/"+o.OrderID, http.StatusOK, `"status":"CONFIRMED"`)
	servicetest.Publish(t, kafka, "m-2", events.InventoryRejected{
		OrderID: o.OrderID, CustomerID: "c", Reason: events.ReasonInsufficientStock, ProductID: "kettle", Wanted: 1, Timestamp: time.Now(),
	})
	reserved.OrderID = "nobodys-order"
	servicetest.Publish(t, kafka, "m-3", reserved)
	if letters := servicetest.Records(t, kafka, events.TopicInventoryDLQ, 2); len(letters) != 2 {
		t.Errorf("%d dead letters", len(letters))
	}
	s.Answers("/orders/"+o.OrderID, http.StatusOK, `"status":"CONFIRMED"`)
}

var nextPort atomic.Int64 // after the last one that freePort gave away

// freePort returns a port that nobody listens on, below those that connections get,
// and a different one each time.
func freePort(t *testing.T) int {
	t.Helper()
	nextPort.CompareAndSwap(0, int64(20000+os.Getpid()%8000))
	for port := int(nextPort.Add(1)); port < 32768; port = int(nextPort.Add(1)) {
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// While only the broker is away, orders are taken; the service says what is missing,
// and their events go out when the broker is there.
func TestRun_TakesOrdersWhileTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	kafka := messaging.DefaultConfig()
	kafka.Brokers = []string{"127.0.0.1:" + strconv.Itoa(port)}
	s := start(t, kafka, postgrestest.NewURL(t))
	s.Answers("/products", http.StatusOK, "coffee-beans")
	o := place(t, s)
	s.Answers("/readyz", http.StatusServiceUnavailable, "consumer: ")
	servicetest.Broker(t, kfake.Ports(port))
	if record := servicetest.Records(t, kafka, events.TopicOrders, 1)[0]; string(record.Key) != o.OrderID {
		t.Errorf("key %s, want %s", record.Key, o.OrderID)
	}
	s.Ready()
}

// While Postgres is away at start, the service is alive, says so, takes nothing, and
// can be stopped; when Postgres comes it starts.
func TestRun_WaitsForPostgres(t *testing.T) {
	t.Parallel()
	url := postgrestest.NewURL(t)
	gate := newGate(t, url)
	kafka := servicetest.Broker(t)
	s := start(t, kafka, gate.url)
	s.Answers("/healthz", http.StatusOK, "")
	s.Answers("/readyz", http.StatusServiceUnavailable, "waiting for the database")
	if status, body := s.Do(http.MethodPost, "/orders", beans); status != http.StatusServiceUnavailable || !strings.Contains(body, "/problems/unavailable") {
		t.Errorf("%d %s", status, body)
	}
	gate.open(t)
	s.Ready()
	place(t, s)

	other := start(t, kafka, newGate(t, url).url)
	other.Answers("/healthz", http.StatusOK, "")
	if err := other.Stop(); err != nil {
		t.Errorf("stopped while waiting: %v", err)
	}
}

// While Postgres is away later, requests are answered 503 and the service recovers.
func TestRun_OutlivesARestartOfPostgres(t *testing.T) {
	t.Parallel()
	gate := newGate(t, postgrestest.NewURL(t))
	gate.open(t)
	s := start(t, servicetest.Broker(t), gate.url)
	s.Ready()
	place(t, s)
	gate.close()
	s.Answers("/orders", http.StatusServiceUnavailable, "/problems/unavailable")
	s.Answers("/readyz", http.StatusServiceUnavailable, "postgres")
	gate.open(t)
	s.Ready()
	place(t, s)
}

// gate is a port that leads to a database while it is open.
type gate struct {
	url, target, addr string
	listener          net.Listener
	conns             chan net.Conn
	done              chan struct{}
}

func newGate(t *testing.T, databaseURL string) *gate {
	t.Helper()
	before, rest, _ := strings.Cut(databaseURL, "@")
	target, after, _ := strings.Cut(rest, "/")
	g := &gate{target: target, addr: "127.0.0.1:" + strconv.Itoa(freePort(t)), conns: make(chan net.Conn, 1000)}
	g.url = before + "@" + g.addr + "/" + after
	t.Cleanup(g.close)
	return g
}

func (g *gate) open(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	g.listener, g.done = l, make(chan struct{})
	go func() {
		defer close(g.done)
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", g.target)
			if err != nil {
				_ = from.Close()
				continue
			}
			g.conns <- from
			g.conns <- to
			pipe := func(dst, src net.Conn) {
				_, _ = io.Copy(dst, src)
				_ = dst.Close()
			}
			go pipe(from, to)
			go pipe(to, from)
		}
	}()
}

func (g *gate) close() {
	if g.listener == nil {
		return
	}
	_ = g.listener.Close()
	<-g.done
	g.listener = nil
	for {
		select {
		case c := <-g.conns:
			_ = c.Close()
		default:
			return
		}
	}
}

// Told to stop in the middle of a request, the service answers it first.
func TestRun_FinishesTheRequestInHand(t *testing.T) {
	t.Parallel()
	s := start(t, servicetest.Broker(t), postgrestest.NewURL(t))
	s.Ready()
	body, sent := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/orders", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Expect", "100-continue") // the server sends 100 when the handler begins to read
	inHand := make(chan struct{})
	request = request.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(inHand) }}))
	answered := make(chan int, 1)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Minute}}
	go func() {
		answer, err := client.Do(request)
		if err != nil {
			answered <- 0
			return
		}
		_ = answer.Body.Close()
		answered <- answer.StatusCode
	}()
	<-inHand
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }()
	servicetest.Eventually(t, "the service takes no more requests", func() bool {
		status, _ := s.Do(http.MethodGet, "/healthz", "")
		return status == 0
	}, s.Logs.String)
	if _, err := io.WriteString(sent, beans); err != nil {
		t.Fatal(err)
	}
	_ = sent.Close()
	if status := <-answered; status != http.StatusCreated {
		t.Errorf("the request in hand was answered %d", status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
