package dlq

import (
	"time"

	"millrace/pkg/events"
)

// Status is what has become of a letter.
type Status string

// Statuses of a letter.
const (
	// Open: nobody has dealt with it, or not to the end.
	Open Status = "open"
	// Redriving: a redrive has begun, and it is not known how it ended.
	Redriving Status = "redriving"
	// Redriven: its message was sent again.
	Redriven Status = "redriven"
	// Discarded: it is not to be sent again.
	Discarded Status = "discarded"
)

// Statuses lists all, in the order of a letter's life.
func Statuses() []Status { return []Status{Open, Redriving, Redriven, Discarded} }

// none stands for the offset of an edit that there is not.
const none = -1

// State is what the audit topic says about one letter. Its zero value is no state;
// start with [NewState].
type State struct {
	Status Status
	// Redrive is the latest redrive that counts; its ID is empty when there was none.
	Redrive Redrive
	// Edit is the offset in dlq-audit of the payload that the next redrive sends, or -1.
	Edit int64
	// Who did the last thing that counts, when, and why.
	Who    string
	When   time.Time
	Reason string

	letterTimestamp time.Time
}

// Redrive is one sending of a message.
type Redrive struct {
	ID     string
	Group  string
	Topic  string // of the retry topic
	Edited bool
	// Partition and End: the message lies in this partition at End or behind, if it was sent.
	Partition int32
	End       int64
	// Offset is where it lies; -1 while that is not known.
	Offset int64
	Begun  time.Time
}

// NewState is the state of a letter of which the audit topic says nothing.
func NewState() State { return State{Status: Open, Edit: none} }

// Apply takes in one audit record about the letter, which lies at an offset of the
// audit topic. A record that does not count changes nothing, and void says why.
func (s *State) Apply(offset int64, a *events.Audit) (void string) {
	if s.letterTimestamp.IsZero() {
		s.letterTimestamp = a.LetterTimestamp
	} else if !a.LetterTimestamp.IsZero() && !a.LetterTimestamp.Equal(s.letterTimestamp) {
		// The topic was deleted and made again: this is another letter with the old id.
		*s = NewState()
		s.letterTimestamp = a.LetterTimestamp
	}
	if void := s.void(a); void != "" {
		return void
	}
	switch a.Action {
	case events.AuditRedriveIntent:
		s.Status = Redriving
		s.Redrive = Redrive{
			ID: a.RedriveID, Group: a.Group, Topic: a.TargetTopic, Edited: a.Edited,
			Partition: a.TargetPartition, End: a.TargetEnd, Offset: none, Begun: a.When,
		}
	case events.AuditRedriveDone:
		s.Status, s.Redrive.Offset = Redriven, a.TargetOffset
	case events.AuditRedriveFailed:
		s.Status = Open
	case events.AuditEdit:
		s.Edit = offset
	case events.AuditDiscard:
		s.Status = Discarded
	case events.AuditRestore:
		s.Status = Open
	}
	s.Who, s.When, s.Reason = a.Who, a.When, a.Reason
	return ""
}

// void says why a record does not count.
func (s *State) void(a *events.Audit) string {
	switch a.Action {
	case events.AuditRedriveIntent:
		if s.Status == Discarded {
			return "it was discarded before"
		}
		if a.Replaces != s.Redrive.ID {
			return "another redrive, " + s.Redrive.ID + ", came first"
		}
	case events.AuditRedriveDone, events.AuditRedriveFailed:
		if a.RedriveID != s.Redrive.ID {
			return "it ends redrive " + a.RedriveID + ", which did not count"
		}
		if s.Status != Redriving {
			return "the redrive had ended before"
		}
	case events.AuditEdit, events.AuditDiscard:
		if s.Status == Redriving {
			return "a redrive, " + s.Redrive.ID + ", had begun before"
		}
		if s.Status == Discarded {
			return "it was discarded before"
		}
		if a.Action == events.AuditDiscard && s.Status == Redriven {
			return "it was redriven before"
		}
	case events.AuditRestore:
		if s.Status != Discarded {
			return "it is not discarded"
		}
	}
	return ""
}

// Ledger is the state of all letters: the fold of the audit topic.
type Ledger struct {
	states map[events.LetterID]*State
	keep   func(events.LetterID) bool
	next   int64 // offset in the audit topic

	// Unreadable counts records that are not in the form, Void those that do not count.
	Unreadable, Void int
}

// NewLedger makes a ledger of the letters that keep wants; nil wants all.
func NewLedger(keep func(events.LetterID) bool) *Ledger {
	return &Ledger{states: map[events.LetterID]*State{}, keep: keep}
}

// Add takes in the record at an offset of the audit topic. The records have to come in
// their order; one that was there before is passed over.
func (l *Ledger) Add(offset int64, payload []byte) {
	if offset < l.next {
		return
	}
	l.next = offset + 1
	a, err := events.DecodeAudit(payload)
	if err != nil {
		l.Unreadable++
		return
	}
	if l.keep != nil && !l.keep(a.Letter) {
		return
	}
	s := l.states[a.Letter]
	if s == nil {
		fresh := NewState()
		s = &fresh
		l.states[a.Letter] = s
	}
	if s.Apply(offset, &a) != "" {
		l.Void++
	}
}

// State is the state of a letter. timestamp is that of the letter's record.
func (l *Ledger) State(id events.LetterID, timestamp time.Time) State {
	s := l.states[id]
	if s == nil || !s.letterTimestamp.IsZero() && !s.letterTimestamp.Equal(timestamp) {
		return NewState()
	}
	return *s
}
