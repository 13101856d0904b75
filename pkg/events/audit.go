package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// HeaderEdited is "true" on a message whose payload was edited before it was sent anew.
// It keeps the original's message id: for the inbox it is the same message.
const HeaderEdited = "millrace_edited"

// LetterID says where a dead letter lies: topic, partition and offset of the dead
// letter topic. Its text form is TOPIC/PARTITION/OFFSET, as orders-dlq/2/17.
type LetterID struct {
	Topic     string
	Partition int32
	Offset    int64
}

func (id LetterID) String() string {
	return id.Topic + "/" + strconv.Itoa(int(id.Partition)) + "/" + strconv.FormatInt(id.Offset, 10)
}

// ParseLetterID reads the text form.
func ParseLetterID(text string) (LetterID, error) {
	parts := strings.Split(text, "/")
	if len(parts) == 3 && parts[0] != "" {
		partition, err := strconv.ParseInt(parts[1], 10, 32)
		offset, offsetErr := strconv.ParseInt(parts[2], 10, 64)
		if err == nil && offsetErr == nil && partition >= 0 && offset >= 0 {
			return LetterID{parts[0], int32(partition), offset}, nil
		}
	}
	return LetterID{}, fmt.Errorf("%q is not the id of a dead letter, want TOPIC/PARTITION/OFFSET, as orders-dlq/2/17", shorten(text))
}

// AuditAction is what was done with a dead letter.
type AuditAction string

// Actions of an [Audit].
const (
	// AuditRedriveIntent: the message is about to be sent again. Nothing was sent yet.
	AuditRedriveIntent AuditAction = "redrive_intent"
	// AuditRedriveDone: it was sent, and the broker has it.
	AuditRedriveDone AuditAction = "redrive_done"
	// AuditRedriveFailed: the broker refused it, so it was not sent.
	AuditRedriveFailed AuditAction = "redrive_failed"
	// AuditEdit: the next redrive sends another payload.
	AuditEdit AuditAction = "edit"
	// AuditDiscard: it will not be sent again.
	AuditDiscard AuditAction = "discard"
	// AuditRestore takes a discard back.
	AuditRestore AuditAction = "restore"
)

// MaxAuditText bounds who and reason, in bytes.
const MaxAuditText = 1000

// Audit is one thing that was done with a dead letter.
type Audit struct {
	Action AuditAction
	Letter LetterID
	// LetterTimestamp is the timestamp of the letter's record: with it a letter is
	// told from an older one of the same id, of a topic that was deleted since.
	LetterTimestamp time.Time
	// Who did it, as user@host.
	Who  string
	When time.Time
	// Reason is why: given by who discards, or the broker's refusal.
	Reason string

	// Group is the consumer group that is to process the message again.
	Group string
	// MessageID is what the group's inbox knows the message by.
	MessageID string
	// RedriveID joins the records of one redrive. The message carries it as a header.
	RedriveID string
	// Replaces, on an intent, is the redrive id that was the letter's latest when the
	// intent was decided on; empty: none. An intent that finds another one in front of
	// it is void: of two people who redrive one letter at once, the first wins.
	Replaces string
	// Edited tells that the payload of the latest edit is sent.
	Edited bool

	TargetTopic     string
	TargetPartition int32
	// TargetEnd, on an intent, is the end offset of the target partition before the
	// sending: if the message was sent, it lies there or behind.
	TargetEnd int64
	// TargetOffset, on a done, is where the message lies.
	TargetOffset int64

	// Message, on an edit, is the payload to send instead of the original one.
	Message []byte
}

type auditForm struct {
	Action          AuditAction `json:"action"`
	Letter          string      `json:"letter"`
	LetterTimestamp *timestamp  `json:"letter_timestamp,omitempty"`
	Who             string      `json:"who"`
	When            *timestamp  `json:"when"`
	Reason          string      `json:"reason,omitempty"`
	Group           string      `json:"group,omitempty"`
	MessageID       string      `json:"message_id,omitempty"`
	RedriveID       string      `json:"redrive_id,omitempty"`
	Replaces        string      `json:"replaces,omitempty"`
	Edited          bool        `json:"edited,omitempty"`
	TargetTopic     string      `json:"target_topic,omitempty"`
	TargetPartition *int32      `json:"target_partition,omitempty"`
	TargetEnd       *int64      `json:"target_end,omitempty"`
	TargetOffset    *int64      `json:"target_offset,omitempty"`
	Message         *string     `json:"message,omitempty"`
	MessageEncoding string      `json:"message_encoding,omitempty"`
}

// isRedrive tells whether the action is one of those that belong to a redrive.
func (a AuditAction) isRedrive() bool {
	return a == AuditRedriveIntent || a == AuditRedriveDone || a == AuditRedriveFailed
}

// Validate returns a *[FieldError] that names the first field that breaks a rule.
func (a Audit) Validate() error {
	r := rules{event: typeAudit}
	switch a.Action {
	case AuditRedriveIntent, AuditRedriveDone, AuditRedriveFailed, AuditEdit, AuditDiscard, AuditRestore:
	default:
		r.check(false, "action", a.Action, "must be redrive_intent, redrive_done, redrive_failed, edit, discard or restore")
	}
	r.check(a.Letter.Topic != "" && a.Letter.Partition >= 0 && a.Letter.Offset >= 0, "letter", a.Letter, "must be TOPIC/PARTITION/OFFSET")
	r.check(a.Who != "", "who", a.Who, "must not be empty")
	r.text("who", a.Who)
	r.text("reason", a.Reason)
	r.check(!a.When.IsZero(), "when", "", "must not be empty")
	switch {
	case a.Action.isRedrive():
		r.id("redrive_id", a.RedriveID)
		r.check(a.Group != "", "group", "", "must not be empty")
		r.check(a.TargetTopic != "", "target_topic", "", "must not be empty")
		r.check(a.TargetPartition >= 0, "target_partition", a.TargetPartition, "must be zero or more")
		r.check(a.TargetEnd >= 0, "target_end", a.TargetEnd, "must be zero or more")
		r.check(a.TargetOffset >= 0, "target_offset", a.TargetOffset, "must be zero or more")
	case a.Action == AuditEdit:
		r.check(a.Message != nil, "message", "", "must not be absent")
	case a.Action == AuditDiscard:
		r.check(strings.TrimSpace(a.Reason) != "", "reason", a.Reason, "must not be empty")
	}
	return r.broken()
}

func (r *rules) text(field, value string) {
	r.check(len(value) <= MaxAuditText, field, value, "must not be longer than "+strconv.Itoa(MaxAuditText)+" bytes")
	r.check(utf8.ValidString(value), field, value, "must be UTF-8")
}

// EncodeAudit validates an audit record and returns its JSON form (asyncapi.yaml).
func EncodeAudit(a Audit) ([]byte, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	form := auditForm{
		Action: a.Action, Letter: a.Letter.String(), LetterTimestamp: optionalTime(a.LetterTimestamp),
		Who: a.Who, When: optionalTime(a.When), Reason: a.Reason,
		Group: a.Group, MessageID: strings.ToValidUTF8(a.MessageID, "\uFFFD"), RedriveID: a.RedriveID, Replaces: a.Replaces, Edited: a.Edited,
	}
	if a.Action.isRedrive() {
		form.TargetTopic, form.TargetPartition = a.TargetTopic, &a.TargetPartition
	}
	switch a.Action {
	case AuditRedriveIntent:
		form.TargetEnd = &a.TargetEnd
	case AuditRedriveDone:
		form.TargetOffset = &a.TargetOffset
	case AuditEdit:
		text, encoding := asText(a.Message)
		form.Message, form.MessageEncoding = &text, encoding
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(form); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte{'\n'}), nil
}

// DecodeAudit reads an audit record and validates it. Errors are *[SyntaxError] or
// *[FieldError].
func DecodeAudit(payload []byte) (Audit, error) {
	var form auditForm
	if err := json.Unmarshal(payload, &form); err != nil {
		return Audit{}, readError(typeAudit, err)
	}
	r := rules{event: typeAudit}
	letter, err := ParseLetterID(form.Letter)
	r.check(err == nil, "letter", form.Letter, "must be TOPIC/PARTITION/OFFSET")
	r.check(!form.Action.isRedrive() || form.TargetPartition != nil, "target_partition", "", "must not be absent")
	r.check(form.Action != AuditRedriveIntent || form.TargetEnd != nil, "target_end", "", "must not be absent")
	r.check(form.Action != AuditRedriveDone || form.TargetOffset != nil, "target_offset", "", "must not be absent")
	if err := r.broken(); err != nil {
		return Audit{}, err
	}
	a := Audit{
		Action: form.Action, Letter: letter, LetterTimestamp: timeOrZero(form.LetterTimestamp),
		Who: form.Who, When: timeOrZero(form.When), Reason: form.Reason,
		Group: form.Group, MessageID: form.MessageID, RedriveID: form.RedriveID, Replaces: form.Replaces, Edited: form.Edited,
		TargetTopic: form.TargetTopic, TargetPartition: orZero(form.TargetPartition), TargetEnd: orZero(form.TargetEnd), TargetOffset: orZero(form.TargetOffset),
	}
	if form.Action == AuditEdit && form.Message != nil {
		if a.Message, err = fromText(typeAudit, "message", *form.Message, form.MessageEncoding); err != nil {
			return Audit{}, err
		}
	}
	return a, a.Validate()
}

// typeAudit stands in errors where an event has its type.
const typeAudit Type = "audit record"

func orZero[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
