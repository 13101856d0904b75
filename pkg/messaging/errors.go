package messaging

import (
	"errors"
	"fmt"

	"millrace/pkg/events"
)

// Permanent marks an error that no further try can cure: the message goes to the
// dead letter topic at once. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &classified{class: events.ClassPermanent, err: err}
}

// IsPermanent tells whether err was marked by [Permanent], says so of itself by a method
// Permanent, or is an unreadable message.
func IsPermanent(err error) bool {
	class := classOf(err)
	return class == events.ClassPermanent || class == events.ClassUnreadable
}

func unreadable(err error) error { return &classified{class: events.ClassUnreadable, err: err} }

// classified gives an error its class.
type classified struct {
	class events.ErrorClass
	err   error
}

func (c *classified) Error() string { return c.err.Error() }
func (c *classified) Unwrap() error { return c.err }

func classOf(err error) events.ErrorClass {
	var c *classified
	if errors.As(err, &c) {
		return c.class
	}
	var parked *parkedError
	if errors.As(err, &parked) {
		return events.ClassParked
	}
	var permanent interface{ Permanent() bool } // as injected faults are
	if errors.As(err, &permanent) && permanent.Permanent() {
		return events.ClassPermanent
	}
	return events.ClassTransient
}

// PublishError is returned by [Publisher.Publish] when some messages of a call were
// not acknowledged. All others were.
type PublishError struct {
	Topic string
	// Total is how many messages the call had.
	Total int
	// Failed holds the error of each message that was not acknowledged, by its
	// position in the call.
	Failed map[int]error
}

func (e *PublishError) Error() string {
	for i := range e.Total {
		if err, ok := e.Failed[i]; ok {
			return fmt.Sprintf("publish to %s: %d of %d messages failed, the first: %v", e.Topic, len(e.Failed), e.Total, err)
		}
	}
	return "publish to " + e.Topic + " failed"
}

// Unwrap returns the errors of the messages.
func (e *PublishError) Unwrap() []error {
	errs := make([]error, 0, len(e.Failed))
	for i := range e.Total {
		if err, ok := e.Failed[i]; ok {
			errs = append(errs, err)
		}
	}
	return errs
}
