package app_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/messaging"
	"millrace/pkg/messaging/replay"
	"millrace/pkg/postgres/postgrestest"
	"millrace/pkg/service"
	"millrace/pkg/service/servicetest"
	"millrace/services/order/app"
	"millrace/services/order/postgres"
	"millrace/services/order/rebuild"
)

// state is everything that the service knows. When a message was processed is not in the
// log, and the outbox is no state: what it holds is on its way, or was sent.
func state(t *testing.T, databaseURL string) []string {
	t.Helper()
	return slices.Concat(
		servicetest.Rows(t, databaseURL, `SELECT * FROM orders`),
		servicetest.Rows(t, databaseURL, `SELECT * FROM order_items`),
		servicetest.Rows(t, databaseURL, `SELECT * FROM idempotency_keys`),
		servicetest.Rows(t, databaseURL, `SELECT consumer_group, message_id FROM inbox`))
}

func rebuildInto(t *testing.T, kafka messaging.Config, databaseURL string, o service.RebuildOptions, faults ...string) (replay.Report, error) {
	t.Helper()
	c, err := app.FromEnv(servicetest.RebuildEnv(kafka, databaseURL, faults...))
	if err != nil {
		t.Fatal(err)
	}
	return app.Rebuild(t.Context(), c, o)
}

func mustRebuild(t *testing.T, kafka messaging.Config, databaseURL string, o service.RebuildOptions) replay.Report {
	t.Helper()
	report, err := rebuildInto(t, kafka, databaseURL, o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

const someOrders = 24

// A database that is gone comes back row by row, by one replay or by several that were
// cut off; a dry run says beforehand what will be, and changes nothing; nothing is
// published; a request that is repeated with its key gets its order.
func TestRebuild_SameState(t *testing.T) {
	t.Parallel()
	kafka, database := servicetest.Broker(t), postgrestest.NewURL(t)
	s := start(t, kafka, database)
	s.Ready()
	keyed := func(s *servicetest.Running, key string) (p placed) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/orders", strings.NewReader(beans))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", key)
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if err := json.NewDecoder(answer.Body).Decode(&p); err != nil || answer.StatusCode != http.StatusCreated {
			t.Fatal(answer.Status, err)
		}
		return p
	}
	var ids []string
	first := keyed(s, "first-key")
	ids = append(ids, first.OrderID)
	for i := 1; i < someOrders; i++ {
		body := fmt.Sprintf(`{"customer_id":"customer_%d","items":[{"product_id":"kettle","quantity":%d},{"product_id":"coffee-beans","quantity":2}]}`, i, i)
		status, text := s.Do(http.MethodPost, "/orders", body)
		var p placed
		if err := json.Unmarshal([]byte(text), &p); err != nil || status != http.StatusCreated {
			t.Fatal(status, text)
		}
		ids = append(ids, p.OrderID)
	}
	items := []events.Item{{ProductID: "kettle", Quantity: 1}}
	processed := 0
	outcome := func(message string, e events.Event) {
		processed++
		servicetest.Publish(t, kafka, message, e)
	}
	for i, id := range ids[:someOrders-2] { // two stay without
		if i%3 == 0 {
			outcome("m-"+id, events.InventoryRejected{OrderID: id, CustomerID: "c", Reason: events.ReasonInsufficientStock, ProductID: "kettle", Wanted: 1, Timestamp: time.Now()})
		} else {
			outcome("m-"+id, events.InventoryReserved{OrderID: id, CustomerID: "c", Items: items, Timestamp: time.Now()})
		}
	}
	outcome("m-"+ids[1], events.InventoryReserved{OrderID: ids[1], CustomerID: "c", Items: items, Timestamp: time.Now()})     // a copy
	outcome("other", events.InventoryReserved{OrderID: ids[1], CustomerID: "c", Items: items, Timestamp: time.Now()})         // another message, no news
	outcome("contradiction", events.InventoryReserved{OrderID: ids[0], CustomerID: "c", Items: items, Timestamp: time.Now()}) // given up
	outcome("nobody", events.InventoryReserved{OrderID: uuid.NewString(), CustomerID: "c", Items: items, Timestamp: time.Now()})
	servicetest.PublishRaw(t, kafka, events.TopicInventory, ids[2], []byte("{"))
	processed++
	servicetest.Records(t, kafka, events.TopicInventoryDLQ, 3)
	servicetest.AwaitCommitted(t, kafka, events.GroupOrder, processed, events.TopicInventory)
	servicetest.Records(t, kafka, events.TopicOrders, someOrders)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	// What others have put into the topic is none of our orders.
	foreign := events.OrderCreated{OrderID: uuid.NewString(), CustomerID: "c", Items: items, Total: 5490, Timestamp: time.Now()}
	payload, err := events.Encode(foreign)
	if err != nil {
		t.Fatal(err)
	}
	servicetest.PublishRaw(t, kafka, events.TopicOrders, foreign.OrderID, payload)
	servicetest.Publish(t, kafka, "m-foreign", events.OrderCreated{OrderID: "order_456", CustomerID: "c", Items: items, Total: 5490, Timestamp: time.Now()})
	servicetest.PublishRaw(t, kafka, events.TopicOrders, "x", []byte{0xff})

	want, committed := state(t, database), servicetest.Committed(t, kafka, events.GroupOrder)
	fresh := postgrestest.NewURL(t, postgres.Migrations()...)
	rehearsed := mustRebuild(t, kafka, fresh, service.RebuildOptions{DryRun: true})
	servicetest.SameRows(t, "after the dry run", state(t, fresh), nil)
	cutOff := postgrestest.NewURL(t)
	for _, point := range replay.Points() {
		var injected *fault.InjectedError
		if _, err := rebuildInto(t, kafka, cutOff, service.RebuildOptions{}, string(point)+"=error"); !errors.As(err, &injected) {
			t.Errorf("cut off at %s: %v", point, err)
		}
	}
	mustRebuild(t, kafka, cutOff, service.RebuildOptions{})
	servicetest.SameRows(t, "rebuilt after it was cut off", state(t, cutOff), want)
	report := mustRebuild(t, kafka, fresh, service.RebuildOptions{})
	servicetest.SameRows(t, "rebuilt", state(t, fresh), want)
	mustRebuild(t, kafka, fresh, service.RebuildOptions{})
	servicetest.SameRows(t, "rebuilt twice", state(t, fresh), want)
	if n := len(servicetest.Rows(t, fresh, `SELECT * FROM outbox`)); n != 0 {
		t.Errorf("%d events would be published again", n)
	}
	if report.RestoredOf(rebuild.Orders) != someOrders || report.RestoredOf(rebuild.Outcomes) != someOrders-2 || report.RestoredOf(rebuild.Keys) != 1 ||
		report.RestoredOf(rebuild.Messages) != someOrders-2+1 {
		t.Errorf("restored %+v", report.Restored)
	}
	if report.SkippedFor(replay.Unreadable) != 2 || report.SkippedFor(replay.Refused) != 2 || report.Unfinished != 2 || len(report.Findings) != 0 {
		t.Errorf("skipped %+v, %d unfinished, findings %q", report.Skipped, report.Unfinished, report.Findings)
	}
	report.DryRun, report.Seconds, rehearsed.Seconds = true, 0, 0
	if got, want := fmt.Sprintf("%+v", rehearsed), fmt.Sprintf("%+v", report); got != want {
		t.Errorf("the dry run said\n%s\nit was\n%s", got, want)
	}
	if now := servicetest.Committed(t, kafka, events.GroupOrder); fmt.Sprint(now) != fmt.Sprint(committed) {
		t.Errorf("offsets %v, were %v", now, committed)
	}

	next := start(t, kafka, fresh)
	next.Ready()
	if again := keyed(next, "first-key"); again.OrderID != first.OrderID {
		t.Errorf("the repeated request was answered with order %s, was %s", again.OrderID, first.OrderID)
	}
	outcome("m-late", events.InventoryReserved{OrderID: ids[someOrders-1], CustomerID: "c", Items: items, Timestamp: time.Now()})
	next.Answers("/orders/"+ids[someOrders-1], http.StatusOK, `"status":"CONFIRMED"`)
	fence := keyed(next, "last-key")
	records := servicetest.Records(t, kafka, events.TopicOrders, someOrders+3+1)
	if len(records) != someOrders+3+1 || !slices.ContainsFunc(records, func(r *kgo.Record) bool { return string(r.Key) == fence.OrderID }) {
		t.Errorf("%d records in topic orders", len(records))
	}
}

// Events from before there were headers get the prices of now; what does not add up to
// the total is said.
func TestRebuild_OrdersWithoutUnitPrices(t *testing.T) {
	t.Parallel()
	kafka, database := servicetest.Broker(t), postgrestest.NewURL(t)
	old := events.OrderCreated{OrderID: uuid.NewString(), CustomerID: "c", Items: []events.Item{{ProductID: "kettle", Quantity: 2}}, Total: 2 * 5490, Timestamp: time.Now()}
	dearer := old
	dearer.OrderID, dearer.Total = uuid.NewString(), 2*6000
	servicetest.Publish(t, kafka, "m-1", old)
	servicetest.Publish(t, kafka, "m-2", dearer)
	report := mustRebuild(t, kafka, database, service.RebuildOptions{})
	if report.RestoredOf(rebuild.Orders) != 2 || len(report.Findings) != 1 ||
		!strings.Contains(report.Findings[0], dearer.OrderID+": the prices of now (its event has none) add up to 109.80, its total is 120.00") {
		t.Errorf("restored %+v, findings %q", report.Restored, report.Findings)
	}
	servicetest.SameRows(t, "items", servicetest.Rows(t, database, `SELECT DISTINCT line, quantity, unit_price FROM order_items`), []string{`{"line":1,"quantity":2,"unit_price":5490}`})
}
