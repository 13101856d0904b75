package events_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"millrace/pkg/events"
)

func letter(message []byte) events.DeadLetter {
	return events.DeadLetter{
		OriginalMessage: message, Error: "boom", OriginalTopic: "orders", OriginalPartition: 2, OriginalOffset: 41,
		Group: events.GroupInventory, Attempts: 3, FirstFailure: moment, LastFailure: moment, ErrorClass: events.ClassTransient,
		MessageID: "5f1c", OriginalKey: []byte("order_456"), OriginalTimestamp: moment,
		Headers:     map[string]string{"event_type": "ORDER_CREATED", "binary": "\xff\x00"},
		Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", Tracestate: "a=b",
	}
}

func TestDeadLetter_Golden(t *testing.T) {
	order, err := events.Encode(samples()["order_created"])
	if err != nil {
		t.Fatal(err)
	}
	for name, message := range map[string][]byte{
		"dead_letter_object": order,
		"dead_letter_text":   []byte("{no json"),
		"dead_letter_binary": {0xff, 0, '{'},
	} {
		payload, err := events.EncodeDeadLetter(letter(message))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, payload)
	}
}

func TestDeadLetter_EveryByteSurvives(t *testing.T) {
	for _, message := range [][]byte{
		nil, {}, []byte(`{}`), []byte(`{"a":"<&>\u2028"}`), []byte(`{ "a" : 1 }`), []byte("{\"a\":1}\n"), []byte(`"text"`),
		[]byte(`null`), []byte(`7`), []byte(`[1]`), []byte("\"\\\x00\u2028"), {0xff}, bytes.Repeat([]byte{0x80, 'x'}, 100),
		[]byte("{\"a\":\"\xff\"}"), []byte(`{"a":1}{"b":2}`),
	} {
		for _, key := range [][]byte{nil, {}, []byte("k"), {0xfe}} {
			want := letter(message)
			want.OriginalKey = key
			payload, err := events.EncodeDeadLetter(want)
			if err != nil {
				t.Fatal(err)
			}
			if !json.Valid(payload) {
				t.Errorf("%q: no JSON: %s", message, payload)
			}
			got, err := events.DecodeDeadLetter(payload)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%q, key %q:\n got %+v, %v\nwant %+v", message, key, got, err, want)
			}
		}
	}
}

// A letter that a program of the course has written.
func TestDecodeDeadLetter_CourseForm(t *testing.T) {
	got, err := events.DecodeDeadLetter([]byte(`{"original_message": {"order_id": "o", "n": 1.0}, "error": "x",
		"original_topic": "orders", "original_partition": 0, "original_offset": 7}`))
	if err != nil || string(got.OriginalMessage) != `{"order_id": "o", "n": 1.0}` || got.OriginalOffset != 7 {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDecodeDeadLetter_NamesWhatIsWrong(t *testing.T) {
	for payload, want := range map[string]string{
		`{`:  "no readable JSON",
		`{}`: "original_topic must not be empty",
		`{"original_topic":"t","original_offset":-1}`:                                         "original_offset must be zero or more",
		`{"original_topic":"t","original_offset":"x"}`:                                        "original_offset must be a whole number",
		`{"original_topic":"t","original_message":"%%","original_message_encoding":"base64"}`: "original_message must be base64",
		`{"original_topic":"t","original_message":"x","original_message_encoding":"rot13"}`:   "original_message_encoding must be absent",
		`{"original_topic":"t","original_key":"%%","original_key_encoding":"base64"}`:         "original_key must be base64",
	} {
		_, err := events.DecodeDeadLetter([]byte(payload))
		var syntax *events.SyntaxError
		var field *events.FieldError
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &syntax) && !errors.As(err, &field) {
			t.Errorf("%s: got %v, want %q", payload, err, want)
		}
	}
}

// FuzzDeadLetter: any payload and key survive; reading never panics.
func FuzzDeadLetter(f *testing.F) {
	f.Add([]byte(`{"a":1}`), []byte("key"))
	f.Add([]byte{0xff}, []byte{0xfe})
	f.Fuzz(func(t *testing.T, message, key []byte) {
		_, _ = events.DecodeDeadLetter(message)
		payload, err := events.EncodeDeadLetter(events.DeadLetter{OriginalTopic: "t", OriginalMessage: message, OriginalKey: key})
		if err != nil {
			t.Fatal(err)
		}
		got, err := events.DecodeDeadLetter(payload)
		if err != nil || !bytes.Equal(got.OriginalMessage, message) || !bytes.Equal(got.OriginalKey, key) {
			t.Fatalf("got %+v, %v", got, err)
		}
	})
}
