// Package postgres remembers which mails went out.
//
// One transaction spans the mail: it inserts the inbox row and the mail's row, then
// the mail is handed to the mail server, then it commits. While it is open, a second
// delivery of the message (another instance after a rebalance) waits at the inbox row
// and then finds the mail sent. If the mail cannot be handed over, nothing is kept and
// the message comes again.
//
// One window is left, as with any effect outside of the database: the process dies
// after the mail server's answer and before the commit. The mail then goes out once
// more, with the same Message-ID. docs/guarantees.md says what follows from that.
package postgres

import (
	"context"
	"embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"millrace/pkg/fault"
	"millrace/pkg/messaging/inbox"
	"millrace/pkg/messaging/parking"
	"millrace/pkg/postgres"
	"millrace/services/notification"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations returns everything that the database of this service needs.
func Migrations() []postgres.Migrations {
	return []postgres.Migrations{inbox.Migrations, parking.Migrations, {Name: "mails", FS: files, Dir: "migrations"}}
}

// Store sends each mail once. It is safe for concurrent use; a mail that is under way
// holds a connection of the pool.
type Store struct {
	pool   *pgxpool.Pool
	sender notification.Sender
	faults *fault.Set
}

// NewStore returns a Store on a migrated database. faults may be nil.
func NewStore(pool *pgxpool.Pool, sender notification.Sender, faults *fault.Set) *Store {
	return &Store{pool: pool, sender: sender, faults: faults}
}

// markTimeout bounds the commit. It has a time of its own: when the handler's time is
// over just as the mail server has taken the mail, the commit matters all the more.
const markTimeout = 5 * time.Second

// SendOnce sends the mail and records that it did. It returns false, and sends
// nothing, when the message was dealt with before or the order has had a mail of this
// kind. Errors of the sender come back wrapped; nothing is recorded then.
func (s *Store) SendOnce(ctx context.Context, group, messageID string, m notification.Mail) (sent bool, err error) {
	committing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var timer *time.Timer
	first := false
	err = postgres.InPipeline(ctx, committing, s.pool, func(b *pgx.Batch) error {
		b.Queue(`
			WITH new AS (
				INSERT INTO inbox (consumer_group, message_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING message_id
			), first AS (
				INSERT INTO mails (order_id, kind, recipient, message_id) SELECT $3, $4, $5, $6 FROM new
				ON CONFLICT DO NOTHING RETURNING order_id
			)
			SELECT EXISTS (SELECT FROM first)`, group, messageID, m.OrderID, m.Kind, m.Recipient, m.MessageID).
			QueryRow(func(row pgx.Row) error { return row.Scan(&first) })
		return nil
	}, func(*pgx.Batch) error {
		if first { // else the message is only marked as dealt with
			if err := s.send(ctx, m); err != nil {
				return fmt.Errorf("send mail %s of order %s: %w", m.Kind, m.OrderID, err)
			}
			if err := s.faults.HitOrder(ctx, fault.EffectBeforeCommit, group, m.OrderID); err != nil {
				return err
			}
			sent = true
		}
		timer = time.AfterFunc(markTimeout, cancel)
		return nil
	}, nil)
	if timer != nil {
		timer.Stop()
	}
	if err == nil && sent {
		err = s.faults.HitOrder(ctx, fault.EffectAfterCommit, group, m.OrderID)
	}
	if err != nil {
		return false, fmt.Errorf("mail %s: %w", m.MessageID, err)
	}
	return sent, nil
}

// send hands a mail over, unless it is made to fail before or after that.
func (s *Store) send(ctx context.Context, m notification.Mail) error {
	if err := s.faults.HitOrder(ctx, fault.MailBeforeSend, "", m.OrderID); err != nil {
		return err
	}
	if err := s.sender.Send(ctx, m); err != nil {
		return err
	}
	return s.faults.HitOrder(ctx, fault.MailAfterSend, "", m.OrderID)
}
