package events

import (
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Version is the version of the forms in this package.
const Version = 1

// CheckVersion judges the value of [HeaderEventVersion]. An absent version is 1.
func CheckVersion(header string) error {
	if header == "" {
		return nil
	}
	n, err := strconv.Atoi(header)
	if err != nil || n < 1 || n > Version {
		return &VersionError{Version: header}
	}
	return nil
}

// Headers returns the record headers that go with an event, without the message id.
func Headers(e Event) map[string]string {
	return map[string]string{
		HeaderEventType:    string(e.Type()),
		HeaderEventVersion: strconv.Itoa(Version),
		HeaderContentType:  ContentType,
	}
}

// Encode validates an event and returns its JSON form.
func Encode(e Event) ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	return json.Marshal(e)
}

// Decode reads an event and validates it. The dynamic type of the result is
// [OrderCreated], [InventoryReserved], [InventoryRejected] or [StockAdjusted]. Errors
// are *[SyntaxError], *[UnknownTypeError] or *[FieldError]: none of them goes away by
// trying again.
func Decode(payload []byte) (Event, error) {
	var head struct {
		Type Type `json:"event_type"`
	}
	if err := json.Unmarshal(payload, &head); err != nil {
		return nil, readError(head.Type, err)
	}
	switch head.Type {
	case TypeOrderCreated:
		return decode[OrderCreated](payload)
	case TypeInventoryReserved:
		return decode[InventoryReserved](payload)
	case TypeInventoryRejected:
		return decode[InventoryRejected](payload)
	case TypeStockAdjusted:
		return decode[StockAdjusted](payload)
	default:
		return nil, &UnknownTypeError{Type: head.Type}
	}
}

func decode[E Event](payload []byte) (Event, error) {
	var e E
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, readError(e.Type(), err)
	}
	if err := e.Validate(); err != nil {
		return nil, err
	}
	return e, nil
}

// readError sorts the errors of encoding/json into ours.
func readError(event Type, err error) error {
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) && wrongType.Field != "" {
		// The forms embed a type called plain, which no reader of the JSON knows of.
		return &FieldError{Event: event, Field: strings.TrimPrefix(wrongType.Field, "plain."), Value: wrongType.Value, Rule: "must be " + describe(wrongType.Type)}
	}
	return &SyntaxError{Err: err}
}

// describe names a Go type as a reader of the JSON form knows it.
func describe(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[Money]():
		return "an amount with at most two decimals, like 12.50"
	case t == reflect.TypeFor[time.Time]():
		return "an ISO 8601 time"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Slice:
		return "an array"
	case t.Kind() == reflect.Struct:
		return "an object"
	default:
		return "a whole number"
	}
}
