// Package consumer turns events into mails: ORDER_CREATED from topic orders, and the
// inventory's decision from topic inventory. Both belong to group
// notification-service, so that its instances share the work.
//
// A mail server that is away is a transient error: after the last try the message
// goes to the dead letter topic, from where it can be redriven. A mail that the server
// refuses for good goes there at once.
package consumer

import (
	"context"
	"errors"
	"log/slog"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/services/notification"
)

// Outbound sends a mail unless the message, or another with the same mail, was dealt
// with before. Package postgres has it.
type Outbound interface {
	SendOnce(ctx context.Context, group, messageID string, m notification.Mail) (sent bool, err error)
}

// Mails returns the handler for both topics. sent is told of every mail that went out.
func Mails(out Outbound, log *slog.Logger, sent func(notification.Kind)) messaging.Handler {
	return messaging.EventHandler(func(ctx context.Context, e events.Event, d *messaging.Delivery) error {
		m, err := notification.MailOf(e)
		if err != nil {
			return messaging.Permanent(err)
		}
		if span := trace.SpanFromContext(ctx); span.IsRecording() {
			span.SetAttributes(attribute.String("order.id", m.OrderID))
		}
		isNew, err := out.SendOnce(ctx, d.Group, d.ID, m)
		switch {
		case errors.Is(err, notification.ErrRefused):
			return messaging.Permanent(err)
		case err != nil:
			return err
		case isNew:
			sent(m.Kind)
			log.InfoContext(ctx, "mail sent", "order_id", m.OrderID, "kind", m.Kind, "recipient", m.Recipient)
		default:
			log.InfoContext(ctx, "mail was sent already", "order_id", m.OrderID, "kind", m.Kind, "message_id", d.ID)
		}
		return nil
	})
}
