package events_test

import (
	"errors"
	"fmt"
	"time"

	"millrace/pkg/events"
)

func ExampleEncode() {
	payload, err := events.Encode(events.OrderCreated{
		OrderID:    "order_456",
		CustomerID: "customer_123",
		Items:      []events.Item{{ProductID: "coffee-beans", Quantity: 2}},
		Total:      2500,
		Timestamp:  time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC),
	})
	fmt.Println(string(payload), err)
	// Output:
	// {"event_type":"ORDER_CREATED","order_id":"order_456","customer_id":"customer_123","items":[{"product_id":"coffee-beans","quantity":2}],"total":25.00,"timestamp":"2026-11-22T09:30:00.000Z"} <nil>
}

func ExampleDecode() {
	event, err := events.Decode([]byte(`{"event_type":"INVENTORY_REJECTED","order_id":"order_456","customer_id":"customer_123",
		"reason":"INSUFFICIENT_STOCK","product_id":"coffee-beans","wanted":2,"available":1,"timestamp":"2026-11-22T09:30:00Z"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	switch e := event.(type) {
	case events.OrderCreated:
		fmt.Println("new order", e.OrderID)
	case events.InventoryRejected:
		fmt.Printf("no %s for %s: %d wanted, %d there\n", e.ProductID, e.OrderID, e.Wanted, e.Available)
	}
	// Output: no coffee-beans for order_456: 2 wanted, 1 there
}

func ExampleDecode_invalid() {
	_, err := events.Decode([]byte(`{"event_type":"ORDER_CREATED","order_id":""}`))
	var field *events.FieldError
	if errors.As(err, &field) {
		fmt.Println(field.Field, field.Rule)
	}
	// Output: order_id must not be empty
}

func ExampleMoney() {
	price, err := events.ParseMoney("12.50")
	total, ok := price.Times(3)
	fmt.Println(total, ok, err)
	// Output: 37.50 true <nil>
}
