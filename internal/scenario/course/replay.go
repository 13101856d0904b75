package course

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"millrace/internal/rebuild"
	"millrace/internal/scenario"
	"millrace/internal/shop"
	"millrace/pkg/events"
	"millrace/pkg/messaging/replay"
	"millrace/pkg/service"
)

var replayState = scenario.Scenario{
	Name: "replay", Needs: scenario.PrivateShop, Course: []string{"A4"},
	Play: playReplay,
}

const (
	replayOrders = 40 // before the loss
	replayAfter  = 10 // placed afterwards, to see that it works
)

type replayEvidence struct {
	Orders int `json:"orders_before"`
	// Before and After are fingerprints of the reservations and the stock.
	Before string `json:"state_before"`
	After  string `json:"state_after"`
	// Missing: the database was gone when the replay began.
	Missing       bool    `json:"database_was_missing"`
	Rows          int     `json:"reservations_restored"`
	MailsBefore   int     `json:"mails_before"`
	MailsAfter    int     `json:"mails_after"`
	EventsBefore  int     `json:"events_before"` // in topic inventory
	EventsAfter   int     `json:"events_after"`
	ReplaySeconds float64 `json:"replay_seconds"`
	audited
}

func (e replayEvidence) Verdict() []scenario.Check {
	return []scenario.Check{
		is("was_lost", e.Missing, nil),
		is("same_state", e.Before != "" && e.Before == e.After && e.Rows == e.Orders && e.Orders == replayOrders, a{"n": e.Rows, "of": e.Orders, "before": e.Before, "after": e.After, "seconds": e.ReplaySeconds}),
		is("no_mail_twice", e.MailsBefore == 2*e.Orders && e.MailsAfter == e.MailsBefore, a{"before": e.MailsBefore, "after": e.MailsAfter}),
		is("no_event_twice", e.EventsBefore == e.Orders && e.EventsAfter == e.EventsBefore, a{"before": e.EventsBefore, "after": e.EventsAfter}),
		auditCheck(e.audited, e.Orders+replayAfter),
	}
}

// stateOf is a fingerprint of what inventory knows, without the times of its rows.
const stateOf = `SELECT md5(
	coalesce((SELECT string_agg(concat_ws(' ', order_id, customer_id, status, reason), ';' ORDER BY order_id) FROM reservations), '') || '|' ||
	coalesce((SELECT string_agg(concat_ws(' ', order_id, product_id, quantity), ';' ORDER BY order_id, product_id) FROM reservation_items), '') || '|' ||
	coalesce((SELECT string_agg(concat_ws(' ', product_id, available, reserved), ';' ORDER BY product_id) FROM stock), ''))`

func playReplay(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
	sh, err := s.Env.Shop(ctx, scenario.ShopNeeds{})
	if err != nil {
		return nil, err
	}
	if err := sh.Plenty(ctx); err != nil {
		return nil, err
	}
	e := replayEvidence{Orders: replayOrders}
	ids, err := sh.Place(ctx, replayOrders, simpleOrder)
	if err != nil {
		return nil, err
	}
	if err := sh.AwaitDone(ctx, ids); err != nil {
		return nil, err
	}
	if e.Before, err = fingerprint(ctx, sh); err != nil {
		return nil, err
	}
	if e.MailsBefore, e.EventsBefore, err = mailsAndEvents(ctx, sh); err != nil {
		return nil, err
	}
	s.Event("done", a{"n": replayOrders, "mails": e.MailsBefore, "state": e.Before})

	s.Explain("lose", nil)
	if err := sh.Stop(ctx, shop.Inventory); err != nil {
		return nil, err
	}
	if err := dropInventory(ctx, sh); err != nil {
		return nil, err
	}
	s.Event("dropped", nil)

	s.Explain("replay", nil)
	began := time.Now()
	from, err := replay.ParseFrom("beginning")
	if err != nil {
		return nil, err
	}
	report, err := rebuild.Run(ctx, rebuild.Config{
		Group: events.GroupInventory, Data: sh.Data, Environ: sh.Environ(),
		Options: service.RebuildOptions{From: from, Progress: func(replay.Progress) {}},
	})
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	e.ReplaySeconds, e.Missing = seconds(time.Since(began)), report.Database == "missing"
	if e.After, err = fingerprint(ctx, sh); err != nil {
		return nil, err
	}
	if e.Rows, err = count(ctx, sh, shop.Inventory, `SELECT count(*) FROM reservations`); err != nil {
		return nil, err
	}
	s.Event("rebuilt", a{"n": e.Rows, "took": time.Since(began), "state": e.After})
	if err := sh.Start(ctx, shop.Inventory); err != nil {
		return nil, err
	}
	if e.MailsAfter, e.EventsAfter, err = mailsAndEvents(ctx, sh); err != nil {
		return nil, err
	}
	more, err := sh.Place(ctx, replayAfter, simpleOrder)
	if err != nil {
		return nil, err
	}
	ids = append(ids, more...)
	if err := sh.AwaitDone(ctx, ids); err != nil {
		return nil, err
	}
	s.Event("works", a{"n": replayAfter})
	e.audited, err = audit(ctx, sh, ids)
	return e, err
}

func fingerprint(ctx context.Context, sh *scenario.Shop) (hash string, err error) {
	conn, err := pgx.Connect(ctx, sh.Addresses().Databases[shop.Inventory])
	if err != nil {
		return "", fmt.Errorf("look into the database of inventory: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	const shown = 12
	if err := conn.QueryRow(ctx, stateOf).Scan(&hash); err != nil {
		return "", fmt.Errorf("look into the database of inventory: %w", err)
	}
	return hash[:shown], nil
}

// mailsAndEvents counts the mails that lie in the mail box and the events of inventory.
func mailsAndEvents(ctx context.Context, sh *scenario.Shop) (mails, decided int, err error) {
	list, err := sh.Mail.Mails(ctx, "")
	if err != nil {
		return 0, 0, fmt.Errorf("read the mail box: %w", err)
	}
	decided, err = endOf(ctx, sh, events.TopicInventory)
	return len(list), decided, err
}

// dropInventory takes the service's database away, as a failed disk would.
func dropInventory(ctx context.Context, sh *scenario.Shop) error {
	state, err := shop.ReadPostgresState(filepath.Join(sh.Data, shop.PostgresStateFile))
	if err != nil {
		return fmt.Errorf("read where Postgres is: %w", err)
	}
	conn, err := pgx.Connect(ctx, state.AdminURL)
	if err != nil {
		return fmt.Errorf("reach Postgres: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	name := pgx.Identifier{shop.DatabaseName(shop.Inventory, true)}.Sanitize()
	if _, err := conn.Exec(ctx, `DROP DATABASE `+name+` WITH (FORCE)`); err != nil {
		return fmt.Errorf("drop the database of inventory: %w", err)
	}
	return nil
}
