// Package consumer hears from the inventory what became of an order.
//
//	INVENTORY_RESERVED   PENDING → CONFIRMED
//	INVENTORY_REJECTED   PENDING → REJECTED
//
// A second delivery, and a second message with the same outcome, change nothing.
// An outcome for an order that does not exist, or that contradicts the one there,
// cannot come from a healthy shop: it goes to the dead letter topic at once.
package consumer

import (
	"context"
	"errors"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/services/order"
)

// Store records outcomes; package postgres has it.
type Store interface {
	// Decide moves the order on and marks the message as done, in one transaction.
	// It returns whether the order changed.
	Decide(ctx context.Context, group, messageID string, outcome order.Outcome) (changed bool, err error)
}

// Outcomes returns the handler for topic inventory. decided is told of every order
// that came to its end.
func Outcomes(store Store, log *slog.Logger, decided func(order.Status)) messaging.Handler {
	return messaging.EventHandler(func(ctx context.Context, e events.Event, d *messaging.Delivery) error {
		outcome, ok := order.OutcomeOf(e)
		if !ok {
			return messaging.Permanent(order.ErrNotAnOutcome)
		}
		if span := trace.SpanFromContext(ctx); span.IsRecording() {
			span.SetAttributes(attribute.String("order.id", outcome.OrderID))
		}
		changed, err := store.Decide(ctx, d.Group, d.ID, outcome)
		switch {
		case errors.Is(err, order.ErrNotFound), errors.Is(err, order.ErrContradiction):
			return messaging.Permanent(err)
		case err != nil:
			return err
		case changed:
			decided(outcome.Status)
			log.InfoContext(ctx, "order decided", "order_id", outcome.OrderID, "status", outcome.Status)
		default:
			log.InfoContext(ctx, "outcome was known already", "order_id", outcome.OrderID, "status", outcome.Status, "message_id", d.ID)
		}
		return nil
	})
}
