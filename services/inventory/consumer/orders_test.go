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
	"millrace/services/inventory"
	"millrace/services/inventory/consumer"
)

// store answers with what a test wants.
type store struct {
	err   error
	made  bool
	r     inventory.Reservation
	asked []string // group and message id
}

func (s *store) Reserve(_ context.Context, group, messageID string, _ events.OrderCreated) (inventory.Reservation, bool, error) {
	s.asked = append(s.asked, group+" "+messageID)
	return s.r, s.made, s.err
}

func delivery(t *testing.T, e events.Event) *messaging.Delivery {
	t.Helper()
	payload, err := events.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return &messaging.Delivery{ID: "m-1", Group: events.GroupInventory, Topic: e.Topic(), Payload: payload, Headers: events.Headers(e), Attempt: 1}
}

var order = events.OrderCreated{
	OrderID: "o-1", CustomerID: "customer_123", Items: []events.Item{{ProductID: "kettle", Quantity: 1}}, Total: 5490, Timestamp: time.Unix(1, 0).UTC(),
}

func TestOrders(t *testing.T) {
	away := errors.New("database is away")
	reserved := inventory.Reservation{OrderID: "o-1", Lines: []inventory.Line{{ProductID: "kettle", Quantity: 1}}}
	refused := inventory.Reservation{OrderID: "o-1", Refusal: &inventory.Refusal{Reason: events.ReasonInsufficientStock, ProductID: "kettle", Wanted: 1}}
	for name, c := range map[string]struct {
		store   store
		event   events.Event
		decided int
		log     string
		err     error
		forGood bool
	}{
		"reserved":      {store{made: true, r: reserved}, order, 1, "stock reserved", nil, false},
		"refused":       {store{made: true, r: refused}, order, 1, "stock refused", nil, false},
		"again":         {store{}, order, 0, "decided on already", nil, false},
		"database away": {store{err: away}, order, 0, "", away, false},
		"not for us":    {store{}, events.InventoryReserved{OrderID: "o-1", CustomerID: "c", Items: order.Items, Timestamp: order.Timestamp}, 0, "", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			decided := 0
			handle := consumer.Orders(&c.store, slog.New(slog.NewTextHandler(&log, nil)), func(inventory.Reservation) { decided++ })
			err := handle(t.Context(), delivery(t, c.event))
			if !c.forGood && !errors.Is(err, c.err) || messaging.IsPermanent(err) != c.forGood {
				t.Errorf("error %v", err)
			}
			if decided != c.decided || !strings.Contains(log.String(), c.log) || c.log != "" && !strings.Contains(log.String(), "order_id=o-1") {
				t.Errorf("decided %d, log %s", decided, &log)
			}
			if !c.forGood && (len(c.store.asked) != 1 || c.store.asked[0] != "inventory-service m-1") {
				t.Errorf("asked %v", c.store.asked)
			}
		})
	}
}

// What cannot be read can never be: it is not tried again.
func TestOrders_UnreadableIsForGood(t *testing.T) {
	handle := consumer.Orders(&store{}, slog.New(slog.DiscardHandler), func(inventory.Reservation) {})
	for _, payload := range []string{"", "{", "[]", `{"event_type":"ORDER_TELEPORTED"}`, `{"event_type":"ORDER_CREATED","order_id":"o-1"}`} {
		if err := handle(t.Context(), &messaging.Delivery{ID: "m", Payload: []byte(payload)}); !messaging.IsPermanent(err) {
			t.Errorf("%q: %v", payload, err)
		}
	}
}
