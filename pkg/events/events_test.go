package events_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"millrace/pkg/events"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var moment = time.Date(2026, 11, 22, 9, 30, 15, 123_000_000, time.UTC)

func samples() map[string]events.Event {
	items := []events.Item{{ProductID: "coffee-beans", Quantity: 2}, {ProductID: "filter <paper> & more", Quantity: 1}}
	return map[string]events.Event{
		"order_created": events.OrderCreated{
			OrderID: "order_456", CustomerID: "customer_123", Items: items, Total: 2750, Timestamp: moment,
		},
		"inventory_reserved": events.InventoryReserved{
			OrderID: "order_456", CustomerID: "customer_123", Items: items, Timestamp: moment,
		},
		"inventory_rejected": events.InventoryRejected{
			OrderID: "order_456", CustomerID: "customer_123", Reason: events.ReasonInsufficientStock,
			ProductID: "coffee-beans", Wanted: 2, Available: 1, Timestamp: moment,
		},
		"stock_adjusted": events.StockAdjusted{
			ProductID: "coffee-beans", Sequence: 3, AvailableDelta: -40, Available: 60, Timestamp: moment,
		},
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden.json")
	got = append(bytes.Clone(got), '\n')
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %s\nwant %s", file, got, want)
	}
}

func TestEncode_GoldenAndBack(t *testing.T) {
	for name, event := range samples() {
		t.Run(name, func(t *testing.T) {
			payload, err := events.Encode(event)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, payload)
			back, err := events.Decode(payload)
			if err != nil || !reflect.DeepEqual(back, event) {
				t.Errorf("got %+v, %v", back, err)
			}
			want := "order_456"
			if event.Topic() == events.TopicStock {
				want = "coffee-beans"
			}
			if event.Key() != want {
				t.Errorf("key %q, want %q", event.Key(), want)
			}
		})
	}
}

// What the course's Python programs send: a time without a zone, a total that is a
// float there, fields in any order, and more of them.
func TestDecode_IsTolerant(t *testing.T) {
	got, err := events.Decode([]byte(`{"order_id":"o","timestamp":"2026-11-22T09:30:15.123000","total":"27.5","coupon":{"a":[1]},
		"event_type":"ORDER_CREATED","customer_id":"c","items":[{"quantity":1,"product_id":"p","note":null}]}`))
	want := events.OrderCreated{OrderID: "o", CustomerID: "c", Items: []events.Item{{ProductID: "p", Quantity: 1}}, Total: 2750, Timestamp: moment}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDecode_NamesWhatIsWrong(t *testing.T) {
	order := func(from, to string) string {
		text := `{"event_type":"ORDER_CREATED","order_id":"o","customer_id":"c","items":[{"product_id":"p","quantity":1}],"total":1.50,"timestamp":"2026-11-22T09:30:15Z"}`
		if !strings.Contains(text, from) {
			panic(from)
		}
		return strings.Replace(text, from, to, 1)
	}
	var (
		syntax  *events.SyntaxError
		unknown *events.UnknownTypeError
		field   *events.FieldError
	)
	for _, c := range []struct {
		payload string
		as      any
		want    string
	}{
		{``, &syntax, "no readable JSON object"},
		{`{"event_type":`, &syntax, "no readable JSON object"},
		{`[]`, &syntax, "no readable JSON object"},
		{"\xff\xfe", &syntax, "no readable JSON object"},
		{order(`{"event_type"`, `x{"event_type"`), &syntax, "no readable JSON object"},
		{`{}`, &unknown, "no event_type"},
		{`null`, &unknown, "no event_type"},
		{`{"event_type":"ORDER_EATEN"}`, &unknown, `"ORDER_EATEN"`},
		{`{"event_type":7}`, &field, "event_type must be a string"},
		{order(`"o"`, `""`), &field, "order_id must not be empty"},
		{order(`"o"`, `7`), &field, "order_id must be a string"},
		{order(`"c"`, `"`+strings.Repeat("x", 300)+`"`), &field, "customer_id must not be longer"},
		{order(`[{"product_id":"p","quantity":1}]`, `[]`), &field, "items must hold at least one"},
		{order(`[{"product_id":"p","quantity":1}]`, `{}`), &field, "items must be an array"},
		{order(`"quantity":1`, `"quantity":0`), &field, "items[0].quantity must be 1 or more, is 0"},
		{order(`"quantity":1`, `"quantity":1.5`), &field, "field items.quantity must be a whole number"},
		{order(`"quantity":1`, `"quantity":2000000000`), &field, "items[0].quantity must be 1000000000 or less"},
		{order(`"product_id":"p"`, `"product_id":""`), &field, "items[0].product_id must not be empty"},
		{order(`1.50`, `1.505`), &field, "total must be an amount"},
		{order(`1.50`, `-1`), &field, "total must be zero or more"},
		{order(`1.50`, `"much"`), &field, "total must be an amount"},
		{order(`"2026-11-22T09:30:15Z"`, `"yesterday"`), &field, "timestamp must be an ISO 8601 time"},
		{order(`"2026-11-22T09:30:15Z"`, `1700000000`), &field, "timestamp must be an ISO 8601 time"},
		{order(`,"timestamp":"2026-11-22T09:30:15Z"`, ``), &field, "timestamp must not be empty"},
	} {
		_, err := events.Decode([]byte(c.payload))
		if err == nil || !errors.As(err, c.as) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80s:\n got %T %v\nwant %q", c.payload, err, err, c.want)
		}
	}
}

func TestEncode_RefusesWhatDecodeWould(t *testing.T) {
	var field *events.FieldError
	for _, e := range []events.Event{
		events.OrderCreated{},
		events.InventoryReserved{OrderID: "o", CustomerID: "c"},
		events.InventoryRejected{OrderID: "o", CustomerID: "c", Reason: events.ReasonUnknownProduct, ProductID: "p", Wanted: 1, Available: -1, Timestamp: moment},
		events.StockAdjusted{ProductID: "p", Timestamp: moment},
		events.StockAdjusted{ProductID: "p", Sequence: 1, Available: events.MaxStock + 1, Timestamp: moment},
		events.StockAdjusted{ProductID: "p", Sequence: 1, AvailableDelta: -events.MaxStock - 1, Timestamp: moment},
	} {
		if _, err := events.Encode(e); !errors.As(err, &field) || field.Event != e.Type() {
			t.Errorf("%T: got %v", e, err)
		}
	}
}

func TestCheckVersion(t *testing.T) {
	for version, ok := range map[string]bool{"": true, "1": true, "2": false, "0": false, "one": false} {
		err := events.CheckVersion(version)
		var typed *events.VersionError
		if (err == nil) != ok || !ok && !errors.As(err, &typed) {
			t.Errorf("%q: got %v", version, err)
		}
	}
}

// FuzzDecode: never a panic; what is accepted is valid, and survives Encode and Decode.
func FuzzDecode(f *testing.F) {
	for _, event := range samples() {
		payload, err := events.Encode(event)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
	f.Add([]byte(`{"event_type":"ORDER_CREATED","total":1e-3}`))
	f.Add([]byte(`{"event_type":"INVENTORY_REJECTED","wanted":9223372036854775808}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		event, err := events.Decode(payload)
		if err != nil {
			return
		}
		again, err := events.Encode(event)
		if err != nil {
			t.Fatalf("accepted but not encodable: %v", err)
		}
		back, err := events.Decode(again)
		if err != nil {
			t.Fatalf("not readable any more: %v\n%s", err, again)
		}
		third, err := events.Encode(back)
		if err != nil || !bytes.Equal(again, third) {
			t.Fatalf("changed on the way: %s, then %s", again, third)
		}
	})
}
