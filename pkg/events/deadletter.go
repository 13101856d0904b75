package events

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrorClass is what kind of failure ended a message's tries.
type ErrorClass string

// Error classes of a [DeadLetter].
const (
	// ClassTransient: it might have worked later, but not within the tries it got.
	ClassTransient ErrorClass = "transient"
	// ClassPermanent: the handler said that trying again is of no use.
	ClassPermanent ErrorClass = "permanent"
	// ClassUnreadable: the payload could not be read as an event.
	ClassUnreadable ErrorClass = "unreadable"
	// ClassPanic: the handler panicked, which is a bug.
	ClassPanic ErrorClass = "panic"
	// ClassParked: nothing is wrong with it, but an earlier event of its key is a dead
	// letter of the same group, and it must not overtake that one.
	ClassParked ErrorClass = "parked"
)

// DeadLetter is a message that a group could not process, and what is known about
// it. The first five fields are the course's.
//
// Every byte of the message survives, whatever it is. In JSON, original_message is
//
//   - the object itself, byte for byte, when the payload is a JSON object written
//     without white space (all events of the shop are);
//   - else a string, when the payload is UTF-8;
//   - else a base64 string, and original_message_encoding is "base64".
//
// original_key and headers follow the last two rules (original_key_encoding,
// binary_headers). A payload or key of null is absent.
//
// Where the letter would be larger than the broker takes, it comes without payload and
// headers, and original_message_omitted is true: the record at the original place may
// still have them.
type DeadLetter struct {
	OriginalMessage []byte
	// Omitted tells that OriginalMessage and Headers were left out for their size.
	Omitted           bool
	Error             string
	OriginalTopic     string
	OriginalPartition int32
	OriginalOffset    int64

	// Group is the consumer group that failed. Others may have succeeded.
	Group string
	// Attempts counts the tries, the first one included.
	Attempts int
	// FirstFailure and LastFailure are when the first and the last try failed.
	FirstFailure time.Time
	LastFailure  time.Time
	ErrorClass   ErrorClass

	// MessageID is what the group's inbox knows the message by. A redrive has to keep
	// it, so that a message that was worked on after all is not worked on twice.
	MessageID string
	// OriginalKey is nil when the record had none.
	OriginalKey       []byte
	OriginalTimestamp time.Time
	// Headers are all headers of the record, its trace context included.
	Headers map[string]string
	// Traceparent and Tracestate are the W3C trace context of the record.
	Traceparent string
	Tracestate  string
}

const encodingBase64 = "base64"

type deadLetterForm struct {
	OriginalMessage         json.RawMessage   `json:"original_message,omitempty"`
	Error                   string            `json:"error"`
	OriginalTopic           string            `json:"original_topic"`
	OriginalPartition       int32             `json:"original_partition"`
	OriginalOffset          int64             `json:"original_offset"`
	Group                   string            `json:"group,omitempty"`
	Attempts                int               `json:"attempts,omitempty"`
	FirstFailure            *timestamp        `json:"first_failure,omitempty"`
	LastFailure             *timestamp        `json:"last_failure,omitempty"`
	ErrorClass              ErrorClass        `json:"error_class,omitempty"`
	MessageID               string            `json:"message_id,omitempty"`
	OriginalMessageEncoding string            `json:"original_message_encoding,omitempty"`
	OriginalMessageOmitted  bool              `json:"original_message_omitted,omitempty"`
	OriginalKey             *string           `json:"original_key,omitempty"`
	OriginalKeyEncoding     string            `json:"original_key_encoding,omitempty"`
	OriginalTimestamp       *timestamp        `json:"original_timestamp,omitempty"`
	Headers                 map[string]string `json:"headers,omitempty"`
	BinaryHeaders           map[string][]byte `json:"binary_headers,omitempty"`
	TraceContext            *traceContextForm `json:"trace_context,omitempty"`
}

type traceContextForm struct {
	Traceparent string `json:"traceparent"`
	Tracestate  string `json:"tracestate,omitempty"`
}

// MarshalJSON returns the form in asyncapi.yaml.
func (d DeadLetter) MarshalJSON() ([]byte, error) {
	form := deadLetterForm{
		Error:             strings.ToValidUTF8(d.Error, "\uFFFD"),
		OriginalTopic:     d.OriginalTopic,
		OriginalPartition: d.OriginalPartition,
		OriginalOffset:    d.OriginalOffset,
		Group:             d.Group,
		Attempts:          d.Attempts,
		FirstFailure:      optionalTime(d.FirstFailure),
		LastFailure:       optionalTime(d.LastFailure),
		ErrorClass:        d.ErrorClass,
		MessageID:         d.MessageID,
		OriginalTimestamp: optionalTime(d.OriginalTimestamp),
	}
	form.OriginalMessageOmitted = d.Omitted
	if d.OriginalMessage != nil {
		if isCompactObject(d.OriginalMessage) {
			form.OriginalMessage = d.OriginalMessage
		} else {
			text, encoding := asText(d.OriginalMessage)
			quoted, err := json.Marshal(text)
			if err != nil {
				return nil, err
			}
			form.OriginalMessage, form.OriginalMessageEncoding = quoted, encoding
		}
	}
	if d.OriginalKey != nil {
		text, encoding := asText(d.OriginalKey)
		form.OriginalKey, form.OriginalKeyEncoding = &text, encoding
	}
	for name, value := range d.Headers {
		if utf8.ValidString(value) {
			if form.Headers == nil {
				form.Headers = make(map[string]string, len(d.Headers))
			}
			form.Headers[name] = value
		} else {
			if form.BinaryHeaders == nil {
				form.BinaryHeaders = make(map[string][]byte)
			}
			form.BinaryHeaders[name] = []byte(value)
		}
	}
	if d.Traceparent != "" {
		form.TraceContext = &traceContextForm{d.Traceparent, d.Tracestate}
	}
	// Not json.Marshal: it would rewrite <, > and & inside the original message.
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(form); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte{'\n'}), nil
}

// EncodeDeadLetter returns the JSON form of a dead letter. Call this rather than
// json.Marshal, which escapes <, > and & inside of original_message.
func EncodeDeadLetter(d DeadLetter) ([]byte, error) { return d.MarshalJSON() }

// DecodeDeadLetter reads a dead letter. Errors are *[SyntaxError] or *[FieldError].
func DecodeDeadLetter(payload []byte) (DeadLetter, error) {
	var d DeadLetter
	if err := d.UnmarshalJSON(payload); err != nil {
		return DeadLetter{}, err
	}
	return d, nil
}

// UnmarshalJSON reads the form in asyncapi.yaml.
func (d *DeadLetter) UnmarshalJSON(data []byte) error {
	var form deadLetterForm
	if err := json.Unmarshal(data, &form); err != nil {
		return readError(typeDeadLetter, err)
	}
	r := rules{event: typeDeadLetter}
	r.check(form.OriginalTopic != "", "original_topic", "", "must not be empty")
	r.check(form.OriginalPartition >= 0, "original_partition", form.OriginalPartition, "must be zero or more")
	r.check(form.OriginalOffset >= 0, "original_offset", form.OriginalOffset, "must be zero or more")
	if err := r.broken(); err != nil {
		return err
	}
	*d = DeadLetter{
		Error:             form.Error,
		OriginalTopic:     form.OriginalTopic,
		OriginalPartition: form.OriginalPartition,
		OriginalOffset:    form.OriginalOffset,
		Group:             form.Group,
		Attempts:          form.Attempts,
		FirstFailure:      timeOrZero(form.FirstFailure),
		LastFailure:       timeOrZero(form.LastFailure),
		ErrorClass:        form.ErrorClass,
		MessageID:         form.MessageID,
		Omitted:           form.OriginalMessageOmitted,
		OriginalTimestamp: timeOrZero(form.OriginalTimestamp),
		Headers:           form.Headers,
	}
	if raw := form.OriginalMessage; len(raw) > 0 && raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return &SyntaxError{Err: err}
		}
		message, err := fromText(typeDeadLetter, "original_message", text, form.OriginalMessageEncoding)
		if err != nil {
			return err
		}
		d.OriginalMessage = message
	} else if raw != nil && string(raw) != "null" {
		d.OriginalMessage = raw
	}
	if form.OriginalKey != nil {
		key, err := fromText(typeDeadLetter, "original_key", *form.OriginalKey, form.OriginalKeyEncoding)
		if err != nil {
			return err
		}
		d.OriginalKey = key
	}
	for name, value := range form.BinaryHeaders {
		if d.Headers == nil {
			d.Headers = make(map[string]string, len(form.BinaryHeaders))
		}
		d.Headers[name] = string(value)
	}
	if form.TraceContext != nil {
		d.Traceparent, d.Tracestate = form.TraceContext.Traceparent, form.TraceContext.Tracestate
	}
	return nil
}

// typeDeadLetter stands in errors where an event has its type.
const typeDeadLetter Type = "dead letter"

// isCompactObject tells whether a payload stays the same, byte for byte, when it is
// put into a JSON document as it is.
func isCompactObject(payload []byte) bool {
	if len(payload) == 0 || payload[0] != '{' || !utf8.Valid(payload) {
		return false
	}
	var compact bytes.Buffer
	return json.Compact(&compact, payload) == nil && bytes.Equal(compact.Bytes(), payload)
}

func asText(b []byte) (text, encoding string) {
	if utf8.Valid(b) {
		return string(b), ""
	}
	return base64.StdEncoding.EncodeToString(b), encodingBase64
}

func fromText(event Type, field, text, encoding string) ([]byte, error) {
	switch encoding {
	case "":
		return []byte(text), nil
	case encodingBase64:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, &FieldError{Event: event, Field: field, Value: shorten(text), Rule: "must be base64"}
		}
		return b, nil
	default:
		return nil, &FieldError{Event: event, Field: field + "_encoding", Value: shorten(fmt.Sprintf("%q", encoding)), Rule: `must be absent or "base64"`}
	}
}

func optionalTime(t time.Time) *timestamp {
	if t.IsZero() {
		return nil
	}
	return (*timestamp)(&t)
}

func timeOrZero(t *timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return time.Time(*t)
}

func (t timestamp) MarshalJSON() ([]byte, error) {
	return []byte(`"` + formatTime(time.Time(t)) + `"`), nil
}
