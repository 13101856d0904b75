package app_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/pkg/postgres/postgrestest"
	"millrace/pkg/service/servicetest"
	"millrace/services/inventory/app"
	"millrace/services/inventory/postgres"
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
	c, err := app.FromEnv([]string{"DATABASE_URL=postgres://u:p@h/d"})
	if err != nil || c.HTTPAddr != "127.0.0.1:8082" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := app.FromEnv([]string{"DATABASE_URL=postgres://u:p@h/d", "HTTP_ADDR=nowhere"}); err == nil || !strings.Contains(err.Error(), `HTTP_ADDR is "nowhere"`) {
		t.Error(err)
	}
}

func start(t *testing.T, kafka messaging.Config, databaseURL string) *servicetest.Running {
	t.Helper()
	c, err := app.FromEnv([]string{"DATABASE_URL=" + databaseURL})
	if err != nil {
		t.Fatal(err)
	}
	c.Kafka = kafka
	return servicetest.Start(t, func(ctx context.Context, l net.Listener, logs io.Writer) error {
		c.Listener, c.Logs = l, logs
		return app.Run(ctx, c)
	})
}

func order(id string, quantity int64) events.OrderCreated {
	return events.OrderCreated{OrderID: id, CustomerID: "customer_123", Items: []events.Item{{ProductID: "kettle", Quantity: quantity}}, Total: 100, Timestamp: time.Now()}
}

// Orders come in, decisions go out; a second delivery of one adds nothing.
func TestRun_DecidesOnOrders(t *testing.T) {
	t.Parallel()
	kafka := servicetest.Broker(t)
	s := start(t, kafka, postgrestest.NewURL(t))
	s.Ready()
	servicetest.Publish(t, kafka, "m-1", order("o-1", 2))
	servicetest.Publish(t, kafka, "m-1", order("o-1", 2))
	servicetest.Publish(t, kafka, "m-2", order("o-2", 100))
	got := map[string]events.Type{}
	for _, record := range servicetest.Records(t, kafka, events.TopicInventory, 2) {
		e, err := events.Decode(record.Value)
		if err != nil {
			t.Fatal(err)
		}
		got[string(record.Key)] = e.Type()
	}
	if got["o-1"] != events.TypeInventoryReserved || got["o-2"] != events.TypeInventoryRejected {
		t.Errorf("events %v", got)
	}
	s.Answers("/metrics", http.StatusOK, `messaging_processed_messages_total{group="inventory-service",outcome="ok",topic="orders"} 3`)
	s.Answers("/metrics", http.StatusOK, `millrace_reservations_total{reason="",status="RESERVED"} 1`)
	s.Answers("/metrics", http.StatusOK, `millrace_reservations_total{reason="INSUFFICIENT_STOCK",status="REJECTED"} 1`)
	s.Answers("/stock/kettle", http.StatusOK, `"available":3,"reserved":2`)
	s.Answers("/reservations/o-1", http.StatusOK, `"RESERVED"`)
}

// What cannot be read goes to the dead letter topic, and the partition goes on.
func TestRun_UnreadableOrdersBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	kafka := servicetest.Broker(t)
	s := start(t, kafka, postgrestest.NewURL(t))
	s.Ready()
	bad := order("o-1", 1)
	servicetest.PublishRaw(t, kafka, events.TopicOrders, bad.Key(), []byte(`{"event_type":"ORDER_CREATED"`))
	servicetest.PublishRaw(t, kafka, events.TopicOrders, bad.Key(), []byte(`{"event_type":"ORDER_TELEPORTED"}`))
	servicetest.Publish(t, kafka, "m-1", order("o-1", 1)) // the same partition
	if n := len(servicetest.Records(t, kafka, events.TopicOrdersDLQ, 2)); n != 2 {
		t.Errorf("%d dead letters", n)
	}
	s.Answers("/reservations/o-1", http.StatusOK, `"RESERVED"`)
}

// Told to stop in the middle of a message, the service finishes it and acknowledges
// it: the next instance does not get it again.
func TestRun_FinishesTheMessageInHand(t *testing.T) {
	t.Parallel()
	kafka := servicetest.Broker(t)
	pool := postgrestest.New(t, postgres.Migrations()...)
	s := start(t, kafka, pool.Config().ConnString())
	s.Ready()

	hold, err := pool.Begin(t.Context()) // the stock that the order needs
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hold.Rollback(context.Background()) }()
	if _, err := hold.Exec(t.Context(), `SELECT FROM stock WHERE product_id = 'kettle' FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	servicetest.Publish(t, kafka, "m-1", order("o-1", 2))
	servicetest.Eventually(t, "the handler waits for the stock", func() bool {
		var waiting int
		err := pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		return err == nil && waiting == 1
	}, s.Logs.String)
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop() }()
	servicetest.Eventually(t, "the service takes no more requests", func() bool {
		status, _ := s.Do(http.MethodGet, "/healthz", "")
		return status == 0
	}, s.Logs.String)
	if err := hold.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	var reservations int
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM reservations`).Scan(&reservations); err != nil || reservations != 1 {
		t.Errorf("%d reservations, %v", reservations, err)
	}
	// The next instance starts behind the message, and sends the event if the first
	// one had no time to.
	next := start(t, kafka, pool.Config().ConnString())
	next.Ready()
	servicetest.Records(t, kafka, events.TopicInventory, 1)
	servicetest.Publish(t, kafka, "m-2", order("o-2", 1))
	servicetest.Publish(t, kafka, "m-3", order("o-1", 1)) // on the partition of the first
	next.Answers("/metrics", http.StatusOK, `messaging_processed_messages_total{group="inventory-service",outcome="ok",topic="orders"} 2`)
	if strings.Contains(next.Logs.String(), "message_id=m-1") {
		t.Errorf("the message came again:\n%s", next.Logs)
	}
}
