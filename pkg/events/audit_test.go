package events_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"millrace/pkg/events"
)

// audits are one of each action, with all the fields that it may have.
func audits() map[string]events.Audit {
	redrive := events.Audit{
		Letter: events.LetterID{Topic: "orders-dlq", Partition: 2, Offset: 17}, LetterTimestamp: moment, Who: "minh@quay-3", When: moment,
		Group: events.GroupInventory, MessageID: "5f1c", RedriveID: "r-2", Edited: true,
		TargetTopic: events.RetryTopic("orders", events.GroupInventory), TargetPartition: 1,
	}
	intent, done, failed := redrive, redrive, redrive
	intent.Action, intent.Replaces, intent.TargetEnd = events.AuditRedriveIntent, "r-1", 40
	done.Action, done.TargetOffset = events.AuditRedriveDone, 41
	failed.Action, failed.Reason = events.AuditRedriveFailed, "MESSAGE_TOO_LARGE"
	plain := events.Audit{Letter: redrive.Letter, LetterTimestamp: moment, Who: redrive.Who, When: moment, Reason: "typo in <the> form"}
	edit, discard, restore := plain, plain, plain
	edit.Action, edit.Message = events.AuditEdit, []byte(`{"quantity":2}`)
	discard.Action = events.AuditDiscard
	restore.Action = events.AuditRestore
	return map[string]events.Audit{
		"audit_redrive_intent": intent, "audit_redrive_done": done, "audit_redrive_failed": failed,
		"audit_edit": edit, "audit_discard": discard, "audit_restore": restore,
	}
}

func TestAudit_GoldenAndBack(t *testing.T) {
	for name, want := range audits() {
		payload, err := events.EncodeAudit(want)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name, payload)
		got, err := events.DecodeAudit(payload)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", name, got, err, want)
		}
	}
}

// wholeAudit has the fields of all actions. Each action writes its own in the order
// of the document.
func wholeAudit(t *testing.T, order []string) []byte {
	t.Helper()
	values := map[string]json.RawMessage{}
	binary := audits()["audit_edit"]
	binary.Message = []byte{0xff}
	for _, a := range append(slices.Collect(maps.Values(audits())), binary) {
		payload, err := events.EncodeAudit(a)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSortedFunc(fieldOrder(t, payload), func(a, b string) int { return slices.Index(order, a) - slices.Index(order, b) }) {
			t.Errorf("code writes %s, document says %q", payload, order)
		}
		if err := json.Unmarshal(payload, &values); err != nil {
			t.Fatal(err)
		}
	}
	whole := []byte{'{'}
	for _, field := range order {
		if value, ok := values[field]; ok {
			whole = append(whole, `"`+field+`":`+string(value)+`,`...)
			delete(values, field)
		}
	}
	if len(values) > 0 {
		t.Errorf("the document lacks %q", slices.Sorted(maps.Keys(values)))
	}
	return append(bytes.TrimSuffix(whole, []byte{','}), '}')
}

func TestEncodeAudit_NamesWhatIsWrong(t *testing.T) {
	for want, spoil := range map[string]func(*events.Audit){
		"field action must be redrive_intent":    func(a *events.Audit) { a.Action = "sent" },
		"field letter must be TOPIC":             func(a *events.Audit) { a.Letter.Offset = -1 },
		"field who must not be empty":            func(a *events.Audit) { a.Who = "" },
		"field who must not be longer than 1000": func(a *events.Audit) { a.Who = strings.Repeat("x", 1001) },
		"field reason must be UTF-8":             func(a *events.Audit) { a.Reason = "\xff" },
		"field when must not be empty":           func(a *events.Audit) { a.When = events.Audit{}.When },
		"field redrive_id must not be empty":     func(a *events.Audit) { a.RedriveID = "" },
		"field group must not be empty":          func(a *events.Audit) { a.Group = "" },
		"field target_topic must not be empty":   func(a *events.Audit) { a.TargetTopic = "" },
		"field target_partition must be zero":    func(a *events.Audit) { a.TargetPartition = -1 },
		"field target_end must be zero":          func(a *events.Audit) { a.TargetEnd = -1 },
		"field message must not be absent":       func(a *events.Audit) { a.Action = events.AuditEdit },
		"field reason must not be empty":         func(a *events.Audit) { a.Action, a.Reason = events.AuditDiscard, " " },
	} {
		a := audits()["audit_redrive_intent"]
		spoil(&a)
		_, err := events.EncodeAudit(a)
		var field *events.FieldError
		if !errors.As(err, &field) || !strings.Contains(err.Error(), "audit record: "+want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestDecodeAudit_NamesWhatIsWrong(t *testing.T) {
	const head = `"letter":"a-dlq/0/1","who":"w","when":"2026-11-27T08:00:00Z"`
	for payload, want := range map[string]string{
		`{`:                      "no readable JSON",
		`{}`:                     "field letter must be TOPIC/PARTITION/OFFSET",
		`{"letter":"a/b/c"}`:     "field letter must be",
		`{"letter":"a-dlq/0/1"}`: "field action must be",
		`{"letter":7}`:           "field letter must be a string",
		`{` + head + `,"action":"redrive_intent"}`:                                       "target_partition must not be absent",
		`{` + head + `,"action":"redrive_intent","target_partition":0}`:                  "target_end must not be absent",
		`{` + head + `,"action":"redrive_done","target_partition":0}`:                    "target_offset must not be absent",
		`{` + head + `,"action":"edit","message":"%%","message_encoding":"base64"}`:      "message must be base64",
		`{` + head + `,"action":"edit"}`:                                                 "message must not be absent",
		`{"letter":"a-dlq/0/1","who":"w","when":"soon","action":"discard","reason":"r"}`: "when must be an ISO 8601 time",
		`{` + head + `,"action":"discard"}`:                                              "reason must not be empty",
	} {
		_, err := events.DecodeAudit([]byte(payload))
		var syntax *events.SyntaxError
		var field *events.FieldError
		if err == nil || !strings.Contains(err.Error(), want) || !errors.As(err, &syntax) && !errors.As(err, &field) {
			t.Errorf("%s: got %v, want %q", payload, err, want)
		}
	}
}

func TestParseLetterID(t *testing.T) {
	want := events.LetterID{Topic: "orders-dlq", Partition: 2, Offset: 17}
	if got, err := events.ParseLetterID(want.String()); err != nil || got != want {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"", "orders-dlq", "orders-dlq/2", "/2/3", "a/-1/3", "a/1/-3", "a/x/3", "a/1/2/3", "a/3000000000/1", "a/1/9223372036854775808"} {
		if got, err := events.ParseLetterID(text); err == nil || !strings.Contains(err.Error(), "want TOPIC/PARTITION/OFFSET") {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}

// FuzzAudit: reading never panics, and what is read can be written and read again.
func FuzzAudit(f *testing.F) {
	for _, a := range audits() {
		payload, err := events.EncodeAudit(a)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		first, err := events.DecodeAudit(payload)
		if err != nil {
			return
		}
		again, err := events.EncodeAudit(first)
		if err != nil {
			t.Fatalf("%+v: %v", first, err)
		}
		second, err := events.DecodeAudit(again)
		if err != nil || second.Letter != first.Letter || second.Action != first.Action || !bytes.Equal(second.Message, first.Message) {
			t.Fatalf("got %+v, %v, want %+v", second, err, first)
		}
	})
}
