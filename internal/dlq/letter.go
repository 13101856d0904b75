package dlq

import (
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
)

// ClassNotInForm stands where a letter has its error class, for a record of a dead
// letter topic that is no dead letter.
const ClassNotInForm events.ErrorClass = "not_in_form"

// Letter is one record of a dead letter topic.
type Letter struct {
	ID        events.LetterID
	Timestamp time.Time // of the record
	Value     []byte    // of the record
	Dead      events.DeadLetter
	// Problem tells why the record is no dead letter; Dead is empty then.
	Problem error
}

// readLetter reads a record, whatever it holds.
func readLetter(r *kgo.Record) *Letter {
	l := &Letter{ID: events.LetterID{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}, Timestamp: tidyTime(r.Timestamp), Value: r.Value}
	l.Dead, l.Problem = events.DecodeDeadLetter(r.Value)
	for _, t := range []*time.Time{&l.Dead.FirstFailure, &l.Dead.LastFailure, &l.Dead.OriginalTimestamp} {
		*t = tidyTime(*t)
	}
	return l
}

// tidyTime keeps times that RFC 3339 can say, and drops others: a record's timestamp is
// any 64 bits that its producer chose.
func tidyTime(t time.Time) time.Time {
	if t = t.UTC(); t.Year() < 0 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// Class is the error class.
func (l *Letter) Class() events.ErrorClass {
	if l.Problem != nil {
		return ClassNotInForm
	}
	return l.Dead.ErrorClass
}

// Time is when the last try failed, or else when the letter was written.
func (l *Letter) Time() time.Time {
	if !l.Dead.LastFailure.IsZero() {
		return l.Dead.LastFailure
	}
	return l.Timestamp
}

// MessageID is what the group's inbox knows the message by. A message without an id is
// known by its place.
func (l *Letter) MessageID() string {
	if l.Dead.MessageID != "" || l.Problem != nil {
		return l.Dead.MessageID
	}
	return l.Dead.OriginalTopic + "/" + strconv.Itoa(int(l.Dead.OriginalPartition)) + "/" + strconv.FormatInt(l.Dead.OriginalOffset, 10)
}

// Filter chooses letters. What is empty allows everything.
type Filter struct {
	Group    string
	Class    events.ErrorClass
	Key      *string // the original key, whole
	Since    time.Time
	Until    time.Time
	Statuses []Status
}

// Match tells whether a letter in its state is chosen. Times are those of [Letter.Time]:
// Since is within, Until is not.
func (f Filter) Match(l *Letter, s State) bool {
	switch {
	case f.Group != "" && l.Dead.Group != f.Group,
		f.Class != "" && l.Class() != f.Class,
		f.Key != nil && (l.Problem != nil || l.Dead.OriginalKey == nil || string(l.Dead.OriginalKey) != *f.Key),
		!f.Since.IsZero() && l.Time().Before(f.Since),
		!f.Until.IsZero() && !l.Time().Before(f.Until):
		return false
	}
	if len(f.Statuses) == 0 {
		return true
	}
	for _, status := range f.Statuses {
		if s.Status == status {
			return true
		}
	}
	return false
}

// isDeadLetterTopic tells whether a topic's name has the form T-dlq.
func isDeadLetterTopic(name string) bool {
	of, ok := strings.CutSuffix(name, events.DeadLetterTopic(""))
	return ok && of != ""
}
