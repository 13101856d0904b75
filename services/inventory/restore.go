package inventory

import "time"

// Dealt is an order that a message told of, for who builds the state anew.
type Dealt struct {
	MessageID string
	OrderID   string
	Lines     []Line
	At        time.Time // of the message
	// Unfinished tells that the message was given up or put off, so that it must not
	// count as done.
	Unfinished bool
}

// Shortage says that a product has less than its reservations take.
type Shortage struct {
	ProductID string
	Missing   int64
}
