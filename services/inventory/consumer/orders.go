// Package consumer reserves stock for the orders that topic orders tells of.
//
// Too little stock is a result (INVENTORY_REJECTED), not an error: it is not tried
// again and does not reach the dead letter topic. A second delivery changes nothing.
package consumer

import (
	"context"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/services/inventory"
)

// Store decides about orders; package postgres has it.
type Store interface {
	// Reserve decides about an order and marks the message as done, in one
	// transaction. made is false when that was done before.
	Reserve(ctx context.Context, group, messageID string, order events.OrderCreated) (r inventory.Reservation, made bool, err error)
}

// Orders returns the handler for topic orders. decided is told of every decision.
func Orders(store Store, log *slog.Logger, decided func(inventory.Reservation)) messaging.Handler {
	return messaging.EventHandler(func(ctx context.Context, e events.Event, d *messaging.Delivery) error {
		order, ok := e.(events.OrderCreated)
		if !ok {
			return messaging.Permanent(fmt.Errorf("no business of the inventory: %s", e.Type()))
		}
		span := trace.SpanFromContext(ctx)
		span.SetAttributes(attribute.String("order.id", order.OrderID))
		r, made, err := store.Reserve(ctx, d.Group, d.ID, order)
		if err != nil {
			return err
		}
		if !made {
			log.InfoContext(ctx, "order was decided on already", "order_id", order.OrderID, "message_id", d.ID)
			return nil
		}
		decided(r)
		span.SetAttributes(attribute.String("reservation.status", string(r.Status())))
		if r.Refusal != nil {
			log.InfoContext(ctx, "stock refused", "order_id", r.OrderID, "reason", r.Refusal.Reason,
				"product_id", r.Refusal.ProductID, "wanted", r.Refusal.Wanted, "available", r.Refusal.Available)
		} else {
			log.InfoContext(ctx, "stock reserved", "order_id", r.OrderID, "products", len(r.Lines))
		}
		return nil
	})
}
