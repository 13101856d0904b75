package wrongways

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/broker/brokertest"
	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/pkg/postgres/postgrestest"
	"millrace/pkg/service/servicetest"
	inventoryapp "millrace/services/inventory/app"
	inventorydb "millrace/services/inventory/postgres"
	orderapp "millrace/services/order/app"
	orderdb "millrace/services/order/postgres"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// right is what the tests call the way without a switch.
const right = ""

// bothWays runs a test the right way and a wrong way, each with a shop of its own. wrong tells which.
func bothWays(t *testing.T, way string, test func(s *shop, way string, wrong bool)) {
	t.Helper()
	for _, name := range []string{right, way} {
		label := name
		if name == right {
			label = "right"
		}
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			test(newShop(t), name, name != right)
		})
	}
}

// shop is a broker and what a test looks at it with.
type shop struct {
	t      *testing.T // of the subtest
	broker *brokertest.Broker
	kafka  messaging.Config
	client *kgo.Client
	admin  *kadm.Client
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, broker: brokertest.Start(t), kafka: messaging.DefaultConfig()}
	s.kafka.Brokers = []string{s.broker.Addr}
	client, err := kgo.NewClient(kgo.SeedBrokers(s.broker.Addr), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	s.client, s.admin = client, kadm.NewClient(client)
	return s
}

// environ is that of a service which does one thing wrong, with a fault.
func (s *shop) environ(databaseURL, way, faults string) []string {
	return []string{
		"DATABASE_URL=" + databaseURL, "KAFKA_BROKERS=" + s.broker.Addr, "DRAIN_TIMEOUT=500ms",
		"FAULTS_ENABLED=true", "FAULTS=" + faults, "WRONG_WAYS=" + way,
	}
}

func (s *shop) inventory(databaseURL, way, faults string) *servicetest.Running {
	s.t.Helper()
	c, err := inventoryapp.FromEnv(s.environ(databaseURL, way, faults))
	if err != nil {
		s.t.Fatal(err)
	}
	return servicetest.Start(s.t, func(ctx context.Context, l net.Listener, logs io.Writer) error {
		c.Listener, c.Logs = l, logs
		return inventoryapp.Run(ctx, c)
	})
}

func (s *shop) order(databaseURL, way, faults string) *servicetest.Running {
	s.t.Helper()
	c, err := orderapp.FromEnv(s.environ(databaseURL, way, faults))
	if err != nil {
		s.t.Fatal(err)
	}
	return servicetest.Start(s.t, func(ctx context.Context, l net.Listener, logs io.Writer) error {
		c.Listener, c.Logs = l, logs
		return orderapp.Run(ctx, c)
	})
}

func inventoryDatabase(t *testing.T) *pgxpool.Pool {
	t.Helper()
	return postgrestest.New(t, inventorydb.Migrations()...)
}

func orderDatabase(t *testing.T) *pgxpool.Pool {
	t.Helper()
	return postgrestest.New(t, orderdb.Migrations()...)
}

// publish puts ORDER_CREATED of an order for a product of its own into a partition of topic orders and returns its offset.
func (s *shop) publish(orderID string, partition int32) int64 {
	s.t.Helper()
	product := map[string]string{"slow": "kettle"}[orderID]
	if product == "" {
		product = "coffee-beans"
	}
	e := events.OrderCreated{
		OrderID: orderID, CustomerID: "customer_123", Total: 100, Timestamp: time.Now(),
		Items: []events.Item{{ProductID: product, Quantity: 1}},
	}
	value, err := events.Encode(e)
	if err != nil {
		s.t.Fatal(err)
	}
	headers := events.Headers(e)
	headers[events.HeaderMessageID] = "message-of-" + orderID
	record := &kgo.Record{Topic: events.TopicOrders, Partition: partition, Key: []byte(orderID), Value: value}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(headers[name])})
	}
	produced, err := s.client.ProduceSync(s.t.Context(), record).First()
	if err != nil {
		s.t.Fatal(err)
	}
	return produced.Offset
}

// committed is the offset that the inventory's group has committed for a partition of topic orders; 0: none.
func (s *shop) committed(partition int32) int64 {
	offsets, err := s.admin.FetchOffsets(s.t.Context(), events.GroupInventory)
	if err != nil {
		return 0
	}
	offset, ok := offsets.Lookup(events.TopicOrders, partition)
	if !ok {
		return 0
	}
	return max(0, offset.At)
}

// state is that of the inventory's group, as the broker tells it.
func (s *shop) state() string {
	groups, err := s.admin.DescribeGroups(s.t.Context(), events.GroupInventory)
	if err != nil {
		return err.Error()
	}
	return groups[events.GroupInventory].State
}

// ends counts the records of a topic.
func (s *shop) ends(topic string) (n int64) {
	s.t.Helper()
	offsets, err := s.admin.ListEndOffsets(s.t.Context(), topic)
	if err != nil {
		s.t.Fatal(err)
	}
	offsets.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

// records are the first n of a topic by key, or by a stand-in where it is nil.
func (s *shop) records(topic string, n int) []*kgo.Record {
	s.t.Helper()
	return servicetest.Records(s.t, s.kafka, topic, n)
}

// reserved tells whether the inventory has decided on an order.
func reserved(r *servicetest.Running, orderID string) bool {
	status, _ := r.Do(http.MethodGet, "/reservations/"+orderID, "")
	return status == http.StatusOK
}

// eventually waits for a condition of a service.
func eventually(t *testing.T, r *servicetest.Running, what string, condition func() bool) {
	t.Helper()
	servicetest.Eventually(t, what, condition, func() string { return "log:\n" + r.Logs.String() })
}

// metric reads a metric of a service; its labels are written as /metrics has them. Absence is 0.
func metric(r *servicetest.Running, name string) float64 {
	_, body := r.Do(http.MethodGet, "/metrics", "")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			f, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return 0
			}
			return f
		}
	}
	return 0
}

// outcome is the metric of what became of messages.
func outcome(way, what string) string {
	return fmt.Sprintf(`wrong_way_messages_total{group="inventory-service",outcome=%q,topic="orders",way=%q}`, what, way)
}

// place places an order for coffee and returns the answer's status and the order's id.
func place(t *testing.T, r *servicetest.Running) (status int, id string) {
	t.Helper()
	status, body := r.Do(http.MethodPost, "/orders", `{"customer_id":"customer_123","items":[{"product_id":"coffee-beans","quantity":1}]}`)
	var placed struct {
		OrderID string `json:"order_id"`
	}
	_ = json.Unmarshal([]byte(body), &placed) // an answer that is no order has no id
	return status, placed.OrderID
}
