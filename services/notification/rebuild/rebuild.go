// Package rebuild builds the memory of which mails went out anew from the log.
//
// What the group had dealt with, by its committed offsets, has its mail: it is noted as
// sent, and nothing is sent. Left out are messages that were given up or put off: their
// mails were never sent, and will be from where they wait. What comes after the committed
// offsets the service gets when it runs again.
package rebuild

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"millrace/pkg/events"
	"millrace/pkg/messaging/replay"
	"millrace/services/notification"
)

// Store keeps what was restored; package postgres has it. Each call is one transaction,
// and a second one with the same content changes nothing.
type Store interface {
	// Note stores that mails went out, and marks their messages as done. Of two mails of
	// one kind about an order the first counts.
	Note(ctx context.Context, group string, dealt []notification.Dealt) (mails, marked int64, err error)
}

// What is counted in the report.
const (
	Mails    = "mails noted as sent"
	Messages = "messages marked as dealt with"
)

// Run replays the log into a store.
func Run(ctx context.Context, r *replay.Replay, store Store) (replay.Report, error) {
	b := &rebuild{replay: r, store: store}
	for _, what := range []string{Mails, Messages} {
		r.Restored(what, 0)
	}
	return r.Run(ctx, []replay.Step{
		{Topic: events.TopicOrders, Accept: accept, Apply: b.note},
		{Topic: events.TopicInventory, Accept: accept, Apply: b.note},
	}, func(context.Context) error { return nil })
}

type rebuild struct {
	replay *replay.Replay
	store  Store
}

func accept(record replay.Record) error {
	m, err := notification.MailOf(record.Event)
	switch {
	case errors.Is(err, notification.ErrNoMail):
		return replay.Refuse("%v", err)
	case err != nil:
		return err
	case strings.ContainsRune(m.OrderID+record.ID, 0):
		return replay.Refuse("an id holds a zero byte, which is no text to Postgres")
	}
	return nil
}

func (b *rebuild) note(ctx context.Context, batch []replay.Record) error {
	dealt := make([]notification.Dealt, 0, len(batch))
	for _, record := range batch {
		if !record.Handled {
			continue
		}
		m, err := notification.MailOf(record.Event)
		if err != nil {
			return err // it was accepted before
		}
		dealt = append(dealt, notification.Dealt{Mail: m, RecordID: record.ID, At: record.Timestamp})
	}
	if len(dealt) == 0 {
		return nil
	}
	mails, marked, err := b.store.Note(ctx, events.GroupNotification, dealt)
	if err != nil {
		return fmt.Errorf("note mails: %w", err)
	}
	b.replay.Restored(Mails, mails)
	b.replay.Restored(Messages, marked)
	return nil
}
