package events

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"
)

// The forms below put event_type first and the timestamp last, as the course does;
// the fields between them come from the exported structs, in their order.

// MarshalJSON returns the course's form.
func (e OrderCreated) MarshalJSON() ([]byte, error) {
	type plain OrderCreated
	return json.Marshal(struct {
		EventType Type `json:"event_type"`
		plain
		Timestamp string `json:"timestamp"`
	}{e.Type(), plain(e), formatTime(e.Timestamp)})
}

// UnmarshalJSON reads the course's form; it does not look at event_type.
func (e *OrderCreated) UnmarshalJSON(data []byte) error {
	type plain OrderCreated
	var form struct {
		plain
		Timestamp timestamp `json:"timestamp"`
	}
	if err := json.Unmarshal(data, &form); err != nil {
		return err
	}
	*e = OrderCreated(form.plain)
	e.Timestamp = time.Time(form.Timestamp)
	return nil
}

// MarshalJSON returns the form in asyncapi.yaml.
func (e InventoryReserved) MarshalJSON() ([]byte, error) {
	type plain InventoryReserved
	return json.Marshal(struct {
		EventType Type `json:"event_type"`
		plain
		Timestamp string `json:"timestamp"`
	}{e.Type(), plain(e), formatTime(e.Timestamp)})
}

// UnmarshalJSON reads the form in asyncapi.yaml; it does not look at event_type.
func (e *InventoryReserved) UnmarshalJSON(data []byte) error {
	type plain InventoryReserved
	var form struct {
		plain
		Timestamp timestamp `json:"timestamp"`
	}
	if err := json.Unmarshal(data, &form); err != nil {
		return err
	}
	*e = InventoryReserved(form.plain)
	e.Timestamp = time.Time(form.Timestamp)
	return nil
}

// MarshalJSON returns the form in asyncapi.yaml.
func (e InventoryRejected) MarshalJSON() ([]byte, error) {
	type plain InventoryRejected
	return json.Marshal(struct {
		EventType Type `json:"event_type"`
		plain
		Timestamp string `json:"timestamp"`
	}{e.Type(), plain(e), formatTime(e.Timestamp)})
}

// UnmarshalJSON reads the form in asyncapi.yaml; it does not look at event_type.
func (e *InventoryRejected) UnmarshalJSON(data []byte) error {
	type plain InventoryRejected
	var form struct {
		plain
		Timestamp timestamp `json:"timestamp"`
	}
	if err := json.Unmarshal(data, &form); err != nil {
		return err
	}
	*e = InventoryRejected(form.plain)
	e.Timestamp = time.Time(form.Timestamp)
	return nil
}

// MarshalJSON returns the form in asyncapi.yaml.
func (e StockAdjusted) MarshalJSON() ([]byte, error) {
	type plain StockAdjusted
	return json.Marshal(struct {
		EventType Type `json:"event_type"`
		plain
		Timestamp string `json:"timestamp"`
	}{e.Type(), plain(e), formatTime(e.Timestamp)})
}

// UnmarshalJSON reads the form in asyncapi.yaml; it does not look at event_type.
func (e *StockAdjusted) UnmarshalJSON(data []byte) error {
	type plain StockAdjusted
	var form struct {
		plain
		Timestamp timestamp `json:"timestamp"`
	}
	if err := json.Unmarshal(data, &form); err != nil {
		return err
	}
	*e = StockAdjusted(form.plain)
	e.Timestamp = time.Time(form.Timestamp)
	return nil
}

// timestampFormat is what is written: ISO 8601 with milliseconds, in UTC.
const timestampFormat = "2006-01-02T15:04:05.000Z07:00"

func formatTime(t time.Time) string { return t.UTC().Format(timestampFormat) }

// timestamp reads the ISO 8601 forms that producers write. A time without a zone,
// which is what Python's isoformat gives, is taken as UTC.
type timestamp time.Time

func (t *timestamp) UnmarshalJSON(data []byte) error {
	text, ok := strings.CutPrefix(string(data), `"`)
	text = strings.TrimSuffix(text, `"`)
	if ok {
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999Z0700"} {
			if parsed, err := time.Parse(layout, text); err == nil {
				*t = timestamp(parsed.UTC())
				return nil
			}
		}
	}
	// encoding/json fills in the name of the field.
	return &json.UnmarshalTypeError{Value: shorten(string(data)), Type: reflect.TypeFor[time.Time]()}
}
