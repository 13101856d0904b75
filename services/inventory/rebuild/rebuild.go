// Package rebuild builds stock and reservations anew from the log.
//
// To decide once more would not do: what an order got depended on which others had
// come before it, across partitions. So the decisions are taken from where the service
// has told of them, topic inventory, and what was set by hand from topic stock. Topic
// orders then says which orders there were: one that was dealt with and has no decision
// was decided on in a transaction whose event never went out. Nobody has heard of that
// decision, so the order is delivered, decided on and told of again.
package rebuild

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"millrace/pkg/events"
	"millrace/pkg/messaging/replay"
	"millrace/services/inventory"
)

// Store keeps what was restored; package postgres has it. Each call is one transaction,
// and a second one with the same content changes nothing.
type Store interface {
	// Adjust applies adjustments that the stock has not had, in their order. It returns how
	// many those were, and which products lack an earlier one.
	Adjust(ctx context.Context, adjustments []inventory.Adjustment) (applied int64, incomplete []string, err error)
	// Restore stores decisions about orders that have none, each order once, and takes their
	// stock; where that is not enough, the stock is 0 and the shortage is returned.
	Restore(ctx context.Context, decided []inventory.Reservation) (reserved, refused int64, short []inventory.Shortage, err error)
	// Mark marks the messages of orders that have a decision as done, and completes refused
	// ones by what was asked for. It tells which orders have a decision.
	Mark(ctx context.Context, group string, orders []inventory.Dealt) (decided map[string]bool, marked int64, err error)
	// Verify returns what does not add up, in words.
	Verify(ctx context.Context) ([]string, error)
}

// What is counted in the report.
const (
	Adjustments  = "stock adjustments"
	Reservations = "reservations"
	Refusals     = "refusals"
	Messages     = "messages marked as dealt with"
)

// Run replays the log into a store.
func Run(ctx context.Context, r *replay.Replay, store Store) (replay.Report, error) {
	b := &rebuild{replay: r, store: store, short: map[string]int64{}}
	for _, what := range []string{Adjustments, Reservations, Refusals, Messages} {
		r.Restored(what, 0)
	}
	return r.Run(ctx, []replay.Step{
		// First what was set: the sum of it is never less than what was reserved.
		{Topic: events.TopicStock, Accept: acceptAdjustment, Apply: b.adjust},
		{Topic: events.TopicInventory, Accept: acceptDecision, Apply: b.reserve},
		// To the end: an order may be decided on while the group's offset is still before it.
		{Topic: events.TopicOrders, ToEnd: true, Accept: acceptOrder, Apply: b.mark},
	}, b.verify)
}

type rebuild struct {
	replay     *replay.Replay
	store      Store
	short      map[string]int64
	incomplete []string
}

// acceptAdjustment looks for what the stock cannot take.
func acceptAdjustment(record replay.Record) error {
	e, ok := record.Event.(events.StockAdjusted)
	switch {
	case !ok:
		return replay.Misplaced(events.TopicStock)
	case !inventory.WellFormedProductID(e.ProductID):
		return replay.Refuse("product id %q is not well formed", e.ProductID)
	}
	return nil
}

func (b *rebuild) adjust(ctx context.Context, batch []replay.Record) error {
	adjustments := make([]inventory.Adjustment, len(batch))
	for i, record := range batch {
		e := record.Event.(events.StockAdjusted)
		adjustments[i] = inventory.Adjustment{
			ProductID: e.ProductID, Number: e.Sequence, Delta: e.AvailableDelta, Available: e.Available, At: e.Timestamp,
		}
	}
	applied, incomplete, err := b.store.Adjust(ctx, adjustments)
	if err != nil {
		return fmt.Errorf("restore adjustments: %w", err)
	}
	b.replay.Restored(Adjustments, applied)
	for _, product := range incomplete {
		if !slices.Contains(b.incomplete, product) {
			b.incomplete = append(b.incomplete, product)
			b.replay.Find("%s: an adjustment of its stock is not in the log, what it has now may be wrong; PUT /stock/%s sets it", product, product)
		}
	}
	return nil
}

func acceptDecision(record replay.Record) error {
	if _, ok := decisionOf(record.Event); !ok {
		return replay.Misplaced(events.TopicInventory)
	}
	return nil
}

func (b *rebuild) reserve(ctx context.Context, batch []replay.Record) error {
	decided := make([]inventory.Reservation, 0, len(batch))
	seen := make(map[string]bool, len(batch))
	for _, record := range batch {
		reservation, _ := decisionOf(record.Event)
		if !seen[reservation.OrderID] { // the first one counts, as it did for its readers
			seen[reservation.OrderID] = true
			decided = append(decided, reservation)
		}
	}
	reserved, refused, short, err := b.store.Restore(ctx, decided)
	if err != nil {
		return fmt.Errorf("restore reservations: %w", err)
	}
	b.replay.Restored(Reservations, reserved)
	b.replay.Restored(Refusals, refused)
	for _, s := range short {
		b.short[s.ProductID] += s.Missing
	}
	return nil
}

// decisionOf reads what the service has told of an order.
func decisionOf(e events.Event) (inventory.Reservation, bool) {
	switch e := e.(type) {
	case events.InventoryReserved:
		return inventory.Reservation{OrderID: e.OrderID, CustomerID: e.CustomerID, Lines: inventory.Demand(e.Items), DecidedAt: e.Timestamp}, true
	case events.InventoryRejected:
		return inventory.Reservation{OrderID: e.OrderID, CustomerID: e.CustomerID, DecidedAt: e.Timestamp, Refusal: &inventory.Refusal{
			Reason: e.Reason, ProductID: e.ProductID, Wanted: e.Wanted, Available: e.Available,
		}}, true
	default:
		return inventory.Reservation{}, false
	}
}

func acceptOrder(record replay.Record) error {
	e, ok := record.Event.(events.OrderCreated)
	switch {
	case !ok:
		return replay.Misplaced(events.TopicOrders)
	case strings.ContainsRune(e.OrderID+record.ID, 0):
		return replay.Refuse("an id holds a zero byte, which is no text to Postgres")
	}
	return nil
}

func (b *rebuild) mark(ctx context.Context, batch []replay.Record) error {
	orders := make([]inventory.Dealt, len(batch))
	for i, record := range batch {
		e := record.Event.(events.OrderCreated)
		orders[i] = inventory.Dealt{
			MessageID: record.ID, OrderID: e.OrderID, Lines: inventory.Demand(e.Items), At: record.Timestamp, Unfinished: record.Unfinished,
		}
	}
	decided, marked, err := b.store.Mark(ctx, events.GroupInventory, orders)
	if err != nil {
		return fmt.Errorf("restore messages: %w", err)
	}
	b.replay.Restored(Messages, marked)
	for i, record := range batch {
		if record.Handled && !decided[orders[i].OrderID] {
			b.replay.Again(record)
		}
	}
	return nil
}

func (b *rebuild) verify(ctx context.Context) error {
	for product, missing := range b.short {
		b.replay.Find("%s: the reservations take %d more than the log says there was, so 0 are available; an adjustment of its stock never reached the log", product, missing)
	}
	wrong, err := b.store.Verify(ctx)
	if err != nil {
		return fmt.Errorf("verify what was restored: %w", err)
	}
	for _, text := range wrong {
		b.replay.Find("%s", text)
	}
	return nil
}
