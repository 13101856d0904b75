package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/services/order"
	"millrace/services/order/consumer"
)

// store answers with what a test wants.
type store struct {
	changed bool
	err     error
	got     order.Outcome
}

func (s *store) Decide(_ context.Context, _, _ string, outcome order.Outcome) (bool, error) {
	s.got = outcome
	return s.changed, s.err
}

func delivery(t *testing.T, e events.Event) *messaging.Delivery {
	t.Helper()
	payload, err := events.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return &messaging.Delivery{ID: "m-1", Group: events.GroupOrder, Topic: e.Topic(), Payload: payload, Headers: events.Headers(e), Attempt: 1}
}

var (
	at       = time.Unix(1, 0).UTC()
	items    = []events.Item{{ProductID: "kettle", Quantity: 1}}
	reserved = events.InventoryReserved{OrderID: "o-1", CustomerID: "c", Items: items, Timestamp: at}
	rejected = events.InventoryRejected{OrderID: "o-1", CustomerID: "c", Reason: events.ReasonInsufficientStock, ProductID: "kettle", Wanted: 1, Timestamp: at}
)

func TestOutcomes(t *testing.T) {
	away := errors.New("database is away")
	for name, c := range map[string]struct {
		event   events.Event
		store   store
		decided order.Status // empty: none
		log     string
		err     error
		forGood bool
	}{
		"reserved":      {reserved, store{changed: true}, order.Confirmed, "order decided", nil, false},
		"rejected":      {rejected, store{changed: true}, order.Rejected, "order decided", nil, false},
		"again":         {reserved, store{}, "", "known already", nil, false},
		"database away": {reserved, store{err: away}, "", "", away, false},
		"unknown order": {reserved, store{err: order.ErrNotFound}, "", "", order.ErrNotFound, true},
		"contradiction": {reserved, store{err: order.ErrContradiction}, "", "", order.ErrContradiction, true},
		"no outcome":    {events.OrderCreated{OrderID: "o-1", CustomerID: "c", Items: items, Timestamp: at}, store{}, "", "", order.ErrNotAnOutcome, true},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			var decided order.Status
			handle := consumer.Outcomes(&c.store, slog.New(slog.NewTextHandler(&log, nil)), func(s order.Status) { decided = s })
			if err := handle(t.Context(), delivery(t, c.event)); !errors.Is(err, c.err) || messaging.IsPermanent(err) != c.forGood {
				t.Errorf("error %v", err)
			}
			if decided != c.decided || !strings.Contains(log.String(), c.log) || c.log != "" && !strings.Contains(log.String(), "order_id=o-1") {
				t.Errorf("decided %q, log %s", decided, &log)
			}
		})
	}
}
