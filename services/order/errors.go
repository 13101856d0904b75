package order

import (
	"errors"
	"fmt"
)

var (
	// ErrNotFound is returned when there is no order with that id.
	ErrNotFound = errors.New("order not found")

	// ErrContradiction is returned when an outcome arrives for an order that
	// already has the opposite one.
	ErrContradiction = errors.New("order already has the opposite outcome")

	// ErrNotAnOutcome is returned when a state that is no outcome is given as one.
	ErrNotAnOutcome = errors.New("not an outcome of an order")

	// ErrKeyReused is returned when an Idempotency-Key comes back with another request.
	ErrKeyReused = errors.New("idempotency key was used for another request")
)

// InvalidError is returned when a request breaks rules of Check.
type InvalidError struct{ Violations []Violation }

func (e *InvalidError) Error() string {
	first := e.Violations[0]
	return fmt.Sprintf("order breaks %d rule(s), first: %s %s", len(e.Violations), first.Pointer, first.Detail)
}
