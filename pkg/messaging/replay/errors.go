package replay

import (
	"fmt"
	"strings"
)

// ActiveGroupError is returned while the group has members: whoever reads and
// writes at the same time would get in the way of the replay.
type ActiveGroupError struct {
	Group   string
	Members []Member
}

// Member is a running consumer.
type Member struct {
	ID       string `json:"id"`
	ClientID string `json:"client_id"`
	Host     string `json:"host"`
}

func (e *ActiveGroupError) Error() string {
	const shown = 5
	names := make([]string, 0, shown)
	for _, m := range e.Members[:min(shown, len(e.Members))] {
		names = append(names, fmt.Sprintf("%s at %s", m.ID, strings.TrimPrefix(m.Host, "/")))
	}
	if more := len(e.Members) - shown; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("group %s is active, with %d members: %s", e.Group, len(e.Members), strings.Join(names, ", "))
}

// GapError is returned when records that the state is made of are no longer in the
// log. With Options.AllowGaps they are reported instead.
type GapError struct{ Gaps []Gap }

// Gap says that a partition begins later than it is needed.
type Gap struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int64  `json:"from"` // the first offset that is missing
	To        int64  `json:"to"`   // the first that is there
}

func (g Gap) String() string {
	return fmt.Sprintf("%s/%d lacks the offsets %d to %d", g.Topic, g.Partition, g.From, g.To-1)
}

func (e *GapError) Error() string {
	texts := make([]string, len(e.Gaps))
	for i, g := range e.Gaps {
		texts[i] = g.String()
	}
	return "the log is no longer complete: " + strings.Join(texts, "; ")
}

// RangeError is returned when the start lies outside of the log.
type RangeError struct{ Reason string }

func (e *RangeError) Error() string { return e.Reason }

// UnknownProgressError is returned when a state can only be built by what the group
// had committed, and it has committed nothing.
type UnknownProgressError struct {
	Group   string
	Records int64 // in its topics
}

func (e *UnknownProgressError) Error() string {
	return fmt.Sprintf("group %s has committed no offset, but its topics hold %d records: nobody can tell which of them it had dealt with", e.Group, e.Records)
}

// refusal is why a record leaves no trace.
type refusal struct{ reason, why string }

func (e *refusal) Error() string { return e.reason + ": " + e.why }

// Misplaced says that the event is none that belongs into the topic.
func Misplaced(topic string) error { return &refusal{Foreign, "it is in topic " + topic} }

// Refuse says that no database of ours would take the event.
func Refuse(format string, args ...any) error {
	return &refusal{Refused, fmt.Sprintf(format, args...)}
}
