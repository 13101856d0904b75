package events

import (
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	// MaxIDLength bounds every id, in bytes.
	MaxIDLength = 256
	// MaxItems bounds the lines of an order.
	MaxItems = 1000
	// MaxQuantity bounds the quantity of a line.
	MaxQuantity = 1_000_000_000
)

// rules collects the first broken rule of an event.
type rules struct {
	event Type
	err   *FieldError
}

func (r *rules) check(ok bool, field string, value any, rule string) {
	if !ok && r.err == nil {
		r.err = &FieldError{Event: r.event, Field: field, Value: shorten(fmt.Sprint(value)), Rule: rule}
	}
}

func (r *rules) id(field, value string) {
	r.check(value != "", field, value, "must not be empty")
	r.check(len(value) <= MaxIDLength, field, value, "must not be longer than "+strconv.Itoa(MaxIDLength)+" bytes")
	r.check(utf8.ValidString(value), field, value, "must be UTF-8")
}

func (r *rules) items(items []Item) {
	r.check(len(items) > 0, "items", items, "must hold at least one item")
	r.check(len(items) <= MaxItems, "items", len(items), "must not hold more than "+strconv.Itoa(MaxItems)+" items")
	for i, item := range items {
		if r.err != nil {
			return
		}
		field := "items[" + strconv.Itoa(i) + "]."
		r.id(field+"product_id", item.ProductID)
		r.check(item.Quantity > 0, field+"quantity", item.Quantity, "must be 1 or more")
		r.check(item.Quantity <= MaxQuantity, field+"quantity", item.Quantity, "must be "+strconv.Itoa(MaxQuantity)+" or less")
	}
}

func (r *rules) time(t time.Time) {
	r.check(!t.IsZero(), "timestamp", t, "must not be empty")
	r.check(t.Year() >= 0 && t.Year() <= 9999, "timestamp", t, "must lie within the years 0 to 9999")
}

// broken returns the error as an interface, nil when no rule is broken.
func (r *rules) broken() error {
	if r.err == nil {
		return nil
	}
	return r.err
}
