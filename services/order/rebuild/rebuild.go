// Package rebuild builds the orders anew from the log.
//
// The orders themselves come from topic orders, which this service writes: payload,
// time and key from the record, unit prices and the hash of the Idempotency-Key from
// its headers, the trace from traceparent. Their outcomes come from topic inventory, up
// to where the group had come; later ones the service gets when it runs again. Nothing
// is published: all of it was.
//
// An order whose event had not gone out when the database was lost is in no topic. It
// is gone, and a client that repeats the request with its key gets a new one.
package rebuild

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/pkg/messaging/replay"
	"millrace/services/order"
)

// Store keeps what was restored; package postgres has it. Each call is one transaction,
// and a second one with the same content changes nothing.
type Store interface {
	// Prices returns what the products cost now.
	Prices(ctx context.Context) (map[string]events.Money, error)
	// RestoreOrders stores orders that are not there, each once, and their keys.
	RestoreOrders(ctx context.Context, orders []order.Placed) (stored, keys int64, err error)
	// RestoreOutcomes gives orders without an outcome theirs, in the order of the list, and
	// marks the messages of outcomes that fit as done. It returns the others by their place.
	RestoreOutcomes(ctx context.Context, group string, heard []order.Heard) (decided, marked int64, unfit map[int]error, err error)
	// Verify returns what does not add up, in words.
	Verify(ctx context.Context) ([]string, error)
}

// What is counted in the report.
const (
	Orders   = "orders"
	Outcomes = "outcomes"
	Keys     = "idempotency keys"
	Messages = "messages marked as dealt with"
)

// Run replays the log into a store. Keys of requests that are older than keep are left out.
func Run(ctx context.Context, r *replay.Replay, store Store, now time.Time, keep time.Duration) (replay.Report, error) {
	b := &rebuild{replay: r, store: store, keepFrom: now.Add(-keep)}
	for _, what := range []string{Orders, Outcomes, Keys, Messages} {
		r.Restored(what, 0)
	}
	return r.Run(ctx, []replay.Step{
		{Topic: events.TopicOrders, Accept: acceptOrder, Apply: b.orders},
		{Topic: events.TopicInventory, Accept: acceptOutcome, Apply: b.outcomes},
	}, b.verify)
}

type rebuild struct {
	replay   *replay.Replay
	store    Store
	keepFrom time.Time
	prices   map[string]events.Money // read once, when an event lacks its own
}

func acceptOrder(record replay.Record) error {
	e, ok := record.Event.(events.OrderCreated)
	switch {
	case !ok:
		return replay.Misplaced(events.TopicOrders)
	case record.Headers[events.HeaderMessageID] == "":
		return replay.Refuse("it has no message id, so it was not sent by the order service")
	case len(e.OrderID) != 36 || uuid.Validate(e.OrderID) != nil:
		return replay.Refuse("order id %q is none of the order service", e.OrderID)
	case strings.ContainsRune(e.CustomerID, 0):
		return replay.Refuse("the customer id holds a zero byte, which is no text to Postgres")
	}
	return nil
}

func (b *rebuild) orders(ctx context.Context, batch []replay.Record) error {
	placed := make([]order.Placed, 0, len(batch))
	seen := make(map[string]bool, len(batch))
	var findings []string
	for _, record := range batch {
		e := record.Event.(events.OrderCreated)
		id := strings.ToLower(e.OrderID)
		if seen[id] { // a copy: the relay sends anew what it does not know to be sent
			continue
		}
		seen[id] = true
		p, finding, err := b.placed(ctx, record, e)
		if err != nil {
			return err
		}
		if finding != "" {
			findings = append(findings, finding)
		}
		placed = append(placed, p)
	}
	stored, keys, err := b.store.RestoreOrders(ctx, placed)
	if err != nil {
		return fmt.Errorf("restore orders: %w", err)
	}
	b.replay.Restored(Orders, stored)
	b.replay.Restored(Keys, keys)
	for _, finding := range findings {
		b.replay.Find("%s", finding)
	}
	return nil
}

// placed makes the order of an event, as it was when it was placed.
func (b *rebuild) placed(ctx context.Context, record replay.Record, e events.OrderCreated) (p order.Placed, finding string, err error) {
	p.Order = order.Order{
		ID: e.OrderID, CustomerID: e.CustomerID, Status: order.Pending, Items: make([]order.Item, len(e.Items)), Total: e.Total,
		TraceID: messaging.TraceIDOf(ctx, record.Headers), CreatedAt: e.Timestamp, UpdatedAt: e.Timestamp,
	}
	prices, finding, err := b.unitPrices(ctx, record, e)
	if err != nil {
		return p, "", err
	}
	request := order.Request{CustomerID: e.CustomerID, Lines: make([]order.Line, len(e.Items))}
	for i, item := range e.Items {
		request.Lines[i] = order.Line{ProductID: item.ProductID, Quantity: item.Quantity}
		p.Items[i] = order.Item{Line: request.Lines[i], UnitPrice: prices[i]}
	}
	hash := record.Headers[events.HeaderIdempotencyKeyHash]
	if raw, err := hex.DecodeString(hash); err == nil && len(raw) == len(p.Fingerprint) && e.Timestamp.After(b.keepFrom) {
		p.KeyHash, p.Fingerprint = hash, request.Fingerprint()
	}
	return p, finding, nil
}

// unitPrices are those of the header. An event from before there was one gets the prices
// of now, and is reported if they do not add up to its total.
func (b *rebuild) unitPrices(ctx context.Context, record replay.Record, e events.OrderCreated) (prices []events.Money, finding string, err error) {
	prices, headerErr := events.ParseUnitPrices(record.Headers[events.HeaderUnitPrices], len(e.Items))
	if headerErr != nil {
		if b.prices == nil {
			if b.prices, err = b.store.Prices(ctx); err != nil {
				return nil, "", fmt.Errorf("read the prices: %w", err)
			}
		}
		prices = make([]events.Money, len(e.Items))
		for i, item := range e.Items {
			prices[i] = b.prices[item.ProductID]
		}
	}
	if sum, fits := totalOf(e.Items, prices); !fits || sum != e.Total {
		source := "the unit prices of its event"
		if headerErr != nil {
			source = "the prices of now (its event has none)"
		}
		finding = fmt.Sprintf("order %s: %s add up to %s, its total is %s", e.OrderID, source, sum, e.Total)
	}
	return prices, finding, nil
}

// totalOf adds up what items cost; fits is false when that is no amount any more.
func totalOf(items []events.Item, prices []events.Money) (sum events.Money, fits bool) {
	for i, item := range items {
		line, ok := prices[i].Times(item.Quantity)
		if sum, fits = sum.Plus(line); !ok || !fits {
			return sum, false
		}
	}
	return sum, true
}

func acceptOutcome(record replay.Record) error {
	if _, ok := order.OutcomeOf(record.Event); !ok {
		return replay.Misplaced(events.TopicInventory)
	}
	return nil
}

func (b *rebuild) outcomes(ctx context.Context, batch []replay.Record) error {
	heard := make([]order.Heard, 0, len(batch))
	records := make([]replay.Record, 0, len(batch))
	for _, record := range batch {
		if !record.Handled {
			continue
		}
		outcome, _ := order.OutcomeOf(record.Event)
		heard = append(heard, order.Heard{Outcome: outcome, MessageID: record.ID, MessageAt: record.Timestamp})
		records = append(records, record)
	}
	if len(heard) == 0 {
		return nil
	}
	decided, marked, unfit, err := b.store.RestoreOutcomes(ctx, events.GroupOrder, heard)
	if err != nil {
		return fmt.Errorf("restore outcomes: %w", err)
	}
	b.replay.Restored(Outcomes, decided)
	b.replay.Restored(Messages, marked)
	for i := range heard {
		if why := unfit[i]; why != nil {
			b.replay.Skip(replay.Refused, records[i], why.Error())
		}
	}
	return nil
}

func (b *rebuild) verify(ctx context.Context) error {
	wrong, err := b.store.Verify(ctx)
	if err != nil {
		return fmt.Errorf("verify what was restored: %w", err)
	}
	for _, text := range wrong {
		b.replay.Find("%s", text)
	}
	return nil
}
