package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/services/notification"
	"millrace/services/notification/consumer"
)

// outbound answers with what a test wants.
type outbound struct {
	isNew bool
	err   error
	mails []notification.Mail
}

func (o *outbound) SendOnce(_ context.Context, _, _ string, m notification.Mail) (bool, error) {
	o.mails = append(o.mails, m)
	return o.isNew, o.err
}

func delivery(t *testing.T, e events.Event) *messaging.Delivery {
	t.Helper()
	payload, err := events.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return &messaging.Delivery{ID: "m-1", Group: events.GroupNotification, Topic: e.Topic(), Payload: payload, Headers: events.Headers(e), Attempt: 1}
}

var (
	at       = time.Unix(1, 0).UTC()
	items    = []events.Item{{ProductID: "kettle", Quantity: 1}}
	created  = events.OrderCreated{OrderID: "o-1", CustomerID: "customer_123", Items: items, Total: 5490, Timestamp: at}
	reserved = events.InventoryReserved{OrderID: "o-1", CustomerID: "customer_123", Items: items, Timestamp: at}
	rejected = events.InventoryRejected{OrderID: "o-1", CustomerID: "customer_123", Reason: events.ReasonInsufficientStock, ProductID: "kettle", Wanted: 1, Timestamp: at}
)

func TestMails(t *testing.T) {
	away := errors.New("mail server is away")
	for name, c := range map[string]struct {
		event   events.Event
		out     outbound
		sent    string
		log     string
		err     error
		forGood bool
	}{
		"created":          {created, outbound{isNew: true}, "[CONFIRMATION]", "mail sent", nil, false},
		"reserved":         {reserved, outbound{isNew: true}, "[OUTCOME]", "mail sent", nil, false},
		"rejected":         {rejected, outbound{isNew: true}, "[OUTCOME]", "mail sent", nil, false},
		"again":            {created, outbound{}, "[]", "sent already", nil, false},
		"mail server away": {created, outbound{err: away}, "[]", "", away, false},
		"refused":          {created, outbound{err: fmt.Errorf("550: %w", notification.ErrRefused)}, "[]", "", notification.ErrRefused, true},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			sent := []notification.Kind{}
			handle := consumer.Mails(&c.out, slog.New(slog.NewTextHandler(&log, nil)), func(k notification.Kind) { sent = append(sent, k) })
			if err := handle(t.Context(), delivery(t, c.event)); !errors.Is(err, c.err) || messaging.IsPermanent(err) != c.forGood {
				t.Errorf("error %v", err)
			}
			if fmt.Sprint(sent) != c.sent || !strings.Contains(log.String(), c.log) || c.log != "" && !strings.Contains(log.String(), "order_id=o-1") {
				t.Errorf("sent %v, log %s", sent, &log)
			}
			if len(c.out.mails) != 1 || c.out.mails[0].Recipient != "customer_123@example.com" {
				t.Errorf("mails %+v", c.out.mails)
			}
		})
	}
}

// The outcome may be heard of before the order: each mail stands on its own.
func TestMails_OutcomeMayComeFirst(t *testing.T) {
	out := outbound{isNew: true}
	handle := consumer.Mails(&out, slog.New(slog.DiscardHandler), func(notification.Kind) {})
	for _, e := range []events.Event{reserved, created} {
		if err := handle(t.Context(), delivery(t, e)); err != nil {
			t.Error(err)
		}
	}
	if len(out.mails) != 2 || out.mails[0].Kind != notification.Outcome || out.mails[1].Kind != notification.Confirmation {
		t.Errorf("mails %+v", out.mails)
	}
}
