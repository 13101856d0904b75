package events

import "fmt"

// SyntaxError is returned when a payload is no JSON object.
type SyntaxError struct {
	Err error
}

func (e *SyntaxError) Error() string { return "event is no readable JSON object: " + e.Err.Error() }
func (e *SyntaxError) Unwrap() error { return e.Err }

// UnknownTypeError is returned when event_type is absent or names no known event.
type UnknownTypeError struct {
	Type Type
}

func (e *UnknownTypeError) Error() string {
	if e.Type == "" {
		return "event has no event_type"
	}
	return fmt.Sprintf("unknown event_type %q", shorten(string(e.Type)))
}

// VersionError is returned when an event's version is newer than the reader, or no version at all.
type VersionError struct {
	Version string
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("event version %q is not supported, want 1 to %d", shorten(e.Version), Version)
}

// FieldError is returned when a field has the wrong type or breaks a rule.
type FieldError struct {
	Event Type
	// Field is the JSON name, with the path: items[2].quantity.
	Field string
	// Value is what was found, shortened.
	Value string
	// Rule says what is allowed.
	Rule string
}

func (e *FieldError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s: field %s %s", e.Event, e.Field, e.Rule)
	}
	return fmt.Sprintf("%s: field %s %s, is %s", e.Event, e.Field, e.Rule, e.Value)
}

// HeaderError is returned when a record header is absent, has the wrong form or
// breaks a rule.
type HeaderError struct {
	Header string
	// Value is what was found, shortened.
	Value  string
	Absent bool
	// Rule says what is allowed.
	Rule string
}

func (e *HeaderError) Error() string {
	if e.Absent {
		return fmt.Sprintf("header %s is absent, it %s", e.Header, e.Rule)
	}
	return fmt.Sprintf("header %s is %q, it %s", e.Header, e.Value, e.Rule)
}
