package app_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/messaging"
	"millrace/pkg/messaging/replay"
	"millrace/pkg/postgres/postgrestest"
	"millrace/pkg/service"
	"millrace/pkg/service/servicetest"
	"millrace/services/inventory/app"
	"millrace/services/inventory/postgres"
	"millrace/services/inventory/rebuild"
)

// state is everything that the service knows. When a message was processed is not in the
// log, and the outbox is no state: what it holds is on its way, or was sent.
func state(t *testing.T, databaseURL string) []string {
	t.Helper()
	return slices.Concat(
		servicetest.Rows(t, databaseURL, `SELECT * FROM stock`),
		servicetest.Rows(t, databaseURL, `SELECT * FROM reservations`),
		servicetest.Rows(t, databaseURL, `SELECT * FROM reservation_items`),
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

const orders = 60

// lived runs the service through orders, restocking and poison, and stops it.
func lived(t *testing.T) (kafka messaging.Config, database string) {
	t.Helper()
	kafka, database = servicetest.Broker(t), postgrestest.NewURL(t)
	s := start(t, kafka, database)
	s.Ready()
	for product, available := range map[string]int{"kettle": 40, "travel-mug": 3, "new-thing": 7} {
		if status, body := s.Do(http.MethodPut, "/stock/"+product, fmt.Sprintf(`{"available":%d}`, available)); status/100 != 2 {
			t.Fatal(status, body)
		}
	}
	for i := range orders {
		o := order(fmt.Sprint("o-", i), int64(1+i%3))
		if i%4 == 0 {
			o.Items = append(o.Items, events.Item{ProductID: "travel-mug", Quantity: 1}, events.Item{ProductID: "new-thing", Quantity: 1})
		}
		if i == 9 {
			o.Items = append(o.Items, events.Item{ProductID: "moon", Quantity: 2})
		}
		servicetest.Publish(t, kafka, fmt.Sprint("m-", i), o)
		if i%7 == 0 {
			servicetest.Publish(t, kafka, fmt.Sprint("m-", i), o)     // a copy
			servicetest.Publish(t, kafka, fmt.Sprint("other-", i), o) // another message about the order
		}
	}
	servicetest.PublishRaw(t, kafka, events.TopicOrders, "o-1", []byte(`{"event_type":"ORDER_CREATED"`))
	servicetest.PublishRaw(t, kafka, events.TopicOrders, "x", []byte("\xff\x00"))
	servicetest.Records(t, kafka, events.TopicInventory, orders)
	servicetest.Records(t, kafka, events.TopicOrdersDLQ, 2)
	if status, body := s.Do(http.MethodPut, "/stock/kettle", `{"available":2}`); status != http.StatusOK {
		t.Fatal(status, body)
	}
	servicetest.Records(t, kafka, events.TopicStock, 4)
	servicetest.AwaitCommitted(t, kafka, events.GroupInventory, orders+2*9+2, events.TopicOrders)
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	servicetest.PublishRaw(t, kafka, events.TopicInventory, "o-1", []byte("not ours"))
	servicetest.PublishRaw(t, kafka, events.TopicStock, "kettle", []byte(`{"event_type":"STOCK_ADJUSTED","product_id":"a b","sequence":1,"available_delta":1,"available":1,"timestamp":"2026-11-22T09:30:15Z"}`))
	servicetest.Publish(t, kafka, "misplaced", events.InventoryReserved{OrderID: "o-zero", CustomerID: "c", Items: []events.Item{{ProductID: "a\x00b", Quantity: 1}}, Timestamp: time.Now()})
	return kafka, database
}

// A database that is gone comes back row by row, by one replay or by several that were
// cut off; a dry run says beforehand what will be, and changes nothing.
func TestRebuild_SameState(t *testing.T) {
	t.Parallel()
	kafka, database := lived(t)
	want, committed := state(t, database), servicetest.Committed(t, kafka, events.GroupInventory)

	fresh := postgrestest.NewURL(t, postgres.Migrations()...)
	empty := state(t, fresh)
	rehearsed := mustRebuild(t, kafka, fresh, service.RebuildOptions{DryRun: true})
	servicetest.SameRows(t, "after the dry run", state(t, fresh), empty)

	cutOff := postgrestest.NewURL(t)
	for _, point := range replay.Points() {
		var injected *fault.InjectedError
		if _, err := rebuildInto(t, kafka, cutOff, service.RebuildOptions{}, string(point)+"=error"); !errors.As(err, &injected) {
			t.Errorf("cut off at %s: %v", point, err)
		}
	}
	report := mustRebuild(t, kafka, fresh, service.RebuildOptions{})
	servicetest.SameRows(t, "rebuilt", state(t, fresh), want)
	again := mustRebuild(t, kafka, fresh, service.RebuildOptions{})
	servicetest.SameRows(t, "rebuilt twice", state(t, fresh), want)
	mustRebuild(t, kafka, cutOff, service.RebuildOptions{})
	servicetest.SameRows(t, "rebuilt after it was cut off", state(t, cutOff), want)
	mustRebuild(t, kafka, database, service.RebuildOptions{})
	servicetest.SameRows(t, "rebuilt over what was there", state(t, database), want)

	refusals := int64(len(servicetest.Rows(t, database, `SELECT * FROM reservations WHERE status = 'REJECTED'`)))
	if refusals < 5 || report.RestoredOf(rebuild.Refusals) != refusals || report.RestoredOf(rebuild.Reservations) != orders-refusals ||
		report.RestoredOf(rebuild.Adjustments) != 4 || report.RestoredOf(rebuild.Messages) != orders+9 {
		t.Errorf("%d refusals; restored %+v", refusals, report.Restored)
	}
	if report.SkippedFor(replay.Unreadable) != 3 || report.SkippedFor(replay.Refused) != 2 || len(report.Findings) != 0 || report.Redelivered != 0 {
		t.Errorf("skipped %+v, findings %q, redelivered %d", report.Skipped, report.Findings, report.Redelivered)
	}
	report.DryRun, report.Seconds, rehearsed.Seconds = true, 0, 0
	if got, want := fmt.Sprintf("%+v", rehearsed), fmt.Sprintf("%+v", report); got != want {
		t.Errorf("the dry run said\n%s\nit was\n%s", got, want)
	}
	for _, c := range again.Restored {
		if c.Count != 0 {
			t.Errorf("the second time restored %+v", c)
		}
	}
	if now := servicetest.Committed(t, kafka, events.GroupInventory); fmt.Sprint(now) != fmt.Sprint(committed) {
		t.Errorf("offsets %v, were %v", now, committed)
	}
	// It goes on where it was: an order that comes now is decided on, none comes again.
	s := start(t, kafka, fresh)
	s.Ready()
	servicetest.Publish(t, kafka, "m-new", order("o-new", 1))
	s.Answers("/reservations/o-new", http.StatusOK, `"RESERVED"`)
	s.Answers("/stock/kettle", http.StatusOK, `"available":1`)
	if log := s.Logs.String(); strings.Contains(log, "decided on already") {
		t.Errorf("an order came again:\n%s", log)
	}
}

// While an instance runs, nothing is read or changed, and the error names it.
func TestRebuild_RefusesAnActiveGroup(t *testing.T) {
	t.Parallel()
	kafka, database := servicetest.Broker(t), postgrestest.NewURL(t)
	s := start(t, kafka, database)
	s.Ready()
	for _, dryRun := range []bool{true, false} {
		_, err := rebuildInto(t, kafka, database, service.RebuildOptions{DryRun: dryRun})
		var active *replay.ActiveGroupError
		if !errors.As(err, &active) || active.Group != events.GroupInventory || len(active.Members) == 0 || !strings.Contains(err.Error(), active.Members[0].ID) {
			t.Errorf("dry run %v: %v", dryRun, err)
		}
	}
}

// An order whose decision was never told of is decided on again and told of; one that
// was given up stays where it is.
func TestRebuild_DecidesWhatNobodyHeardOf(t *testing.T) {
	t.Parallel()
	kafka, _ := lived(t)
	record := func(id string) *kgo.Record {
		o := order(id, 1)
		payload, err := events.Encode(o)
		if err != nil {
			t.Fatal(err)
		}
		return &kgo.Record{Topic: events.TopicOrders, Key: []byte("one-key"), Value: payload, Headers: []kgo.RecordHeader{{Key: events.HeaderMessageID, Value: []byte("m-" + id)}}}
	}
	givenUp, lost := record("o-given-up"), record("o-lost")
	servicetest.PublishRecord(t, kafka, givenUp)
	servicetest.PublishRecord(t, kafka, lost)
	letter, err := events.EncodeDeadLetter(events.DeadLetter{
		OriginalMessage: givenUp.Value, Error: "gone", OriginalTopic: events.TopicOrders, OriginalPartition: givenUp.Partition, OriginalOffset: givenUp.Offset,
		Group: events.GroupInventory, MessageID: "m-o-given-up",
	})
	if err != nil {
		t.Fatal(err)
	}
	servicetest.PublishRaw(t, kafka, events.TopicOrdersDLQ, "one-key", letter)
	servicetest.Commit(t, kafka, events.GroupInventory, events.TopicOrders, lost.Partition, lost.Offset+1)

	fresh := postgrestest.NewURL(t)
	report := mustRebuild(t, kafka, fresh, service.RebuildOptions{})
	if report.Redelivered != 1 || report.Unfinished != 1 {
		t.Errorf("redelivered %d, unfinished %d", report.Redelivered, report.Unfinished)
	}
	if at := servicetest.Committed(t, kafka, events.GroupInventory)[fmt.Sprintf("%s/%d", events.TopicOrders, lost.Partition)]; at != lost.Offset {
		t.Errorf("the group stands at %d, want %d", at, lost.Offset)
	}
	s := start(t, kafka, fresh)
	s.Ready()
	s.Answers("/reservations/o-lost", http.StatusOK, `"RESERVED"`)
	told := servicetest.Records(t, kafka, events.TopicInventory, orders+3) // with the two that are not ours
	if !slices.ContainsFunc(told, func(r *kgo.Record) bool { return string(r.Key) == "o-lost" }) {
		t.Error("nobody was told of the decision")
	}
	if status, body := s.Do(http.MethodGet, "/reservations/o-given-up", ""); status != http.StatusNotFound {
		t.Errorf("the order that was given up: %d %s", status, body)
	}
}

// An adjustment that never reached the log leaves less than was reserved: that is said,
// and the stock is 0, not negative.
func TestRebuild_TellsOfALostAdjustment(t *testing.T) {
	t.Parallel()
	kafka := servicetest.Broker(t)
	servicetest.Publish(t, kafka, "d-1", events.InventoryReserved{OrderID: "o-1", CustomerID: "c", Items: []events.Item{{ProductID: "kettle", Quantity: 95}}, Timestamp: time.Now()})
	servicetest.Publish(t, kafka, "s-2", events.StockAdjusted{ProductID: "green-tea", Sequence: 2, AvailableDelta: 5, Available: 5, Timestamp: time.Now()})
	fresh := postgrestest.NewURL(t)
	report := mustRebuild(t, kafka, fresh, service.RebuildOptions{})
	said := strings.Join(report.Findings, "\n")
	if !strings.Contains(said, "kettle: the reservations take 90 more") || !strings.Contains(said, "green-tea: an adjustment of its stock is not in the log") {
		t.Errorf("findings:\n%s", said)
	}
	servicetest.SameRows(t, "stock", servicetest.Rows(t, fresh, `SELECT available, reserved FROM stock WHERE product_id = 'kettle'`), []string{`{"available":0,"reserved":95}`})
}

// A backup of some time ago catches up from that time on, and keeps what it had.
func TestRebuild_FromATime(t *testing.T) {
	t.Parallel()
	kafka, database := lived(t)
	want := state(t, database)
	backup := postgrestest.NewURL(t)
	mustRebuild(t, kafka, backup, service.RebuildOptions{})
	servicetest.Exec(t, backup, `
		UPDATE stock s SET available = s.available + i.quantity, reserved = s.reserved - i.quantity
		FROM reservation_items i JOIN reservations r USING (order_id) WHERE i.product_id = s.product_id AND r.status = 'RESERVED' AND order_id = 'o-2';
		DELETE FROM reservations WHERE order_id = 'o-2';
		DELETE FROM inbox WHERE message_id = 'm-2'`)
	from, err := replay.ParseFrom(time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
	if err != nil {
		t.Fatal(err)
	}
	report := mustRebuild(t, kafka, backup, service.RebuildOptions{From: from})
	servicetest.SameRows(t, "caught up", state(t, backup), want)
	if report.RestoredOf(rebuild.Reservations) != 1 || report.RestoredOf(rebuild.Messages) != 1 {
		t.Errorf("restored %+v", report.Restored)
	}
	later, err := replay.ParseFrom(time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	if err != nil {
		t.Fatal(err)
	}
	for _, topic := range mustRebuild(t, kafka, backup, service.RebuildOptions{From: later}).Topics {
		for _, p := range topic.Partitions {
			if topic.Role != replay.Retry && p.Read != 0 {
				t.Errorf("read %d records of %s/%d from the future", p.Read, topic.Topic, p.Partition)
			}
		}
	}
}
