package course

import (
	"context"
	"fmt"

	"millrace/internal/scenario"
	"millrace/internal/shop"
	"millrace/internal/shopclient"
	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/wrongway"
)

var wrongCursorOutbox = scenario.Scenario{
	Name: "wrong-" + wrongway.CursorOutbox, Needs: scenario.PrivateShop, Course: []string{"F"},
	Play: func(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
		// The transaction about this product has its row in the outbox, and does not commit yet. Only inventory
		// has the wrong relay: that of the order service could lose the orders that this play counts on.
		return bothWays(ctx, s, shop.Inventory+":"+wrongway.CursorOutbox, map[string]string{shop.Inventory: string(fault.EffectBeforeCommit) + "=hang,times=1,match.product_id=" + slowProduct}, playCursorOutbox)
	},
}

const (
	slowProduct  = "french-press"
	cursorOrders = 16 // quick ones, enough for every partition to have some
)

// playCursorOutbox lets one transaction commit later than others that began after it.
func playCursorOutbox(ctx context.Context, sh *scenario.Shop, wrong bool) (r wayRun, err error) {
	if _, err := sh.Place(ctx, 1, func(int) shopclient.NewOrder {
		return shopclient.NewOrder{CustomerID: "customer_slow", Items: []shopclient.Line{{ProductID: slowProduct, Quantity: 1}}}
	}); err != nil {
		return r, err
	}
	if err := scenario.Poll(ctx, "the slow transaction", func(ctx context.Context) (err error) {
		if r.Fired, err = sh.Fired(ctx, shop.Inventory, fault.EffectBeforeCommit); err == nil && r.Fired == 0 {
			err = fmt.Errorf("it has not begun")
		}
		return err
	}); err != nil {
		return r, err
	}
	if _, err := sh.Place(ctx, cursorOrders, simpleOrder); err != nil {
		return r, err
	}
	// Those in other partitions pass it.
	if err := awaitConfirmed(ctx, sh, 1); err != nil {
		return r, err
	}
	if err := sh.ClearFaults(ctx, shop.Inventory); err != nil {
		return r, err
	}
	if err := awaitReservations(ctx, sh, cursorOrders+1); err != nil {
		return r, err
	}
	// When the outcome of the last one was sent, the relay is past all rows before it.
	last, err := sh.Place(ctx, 1, simpleOrder)
	if err != nil {
		return r, err
	}
	if _, err := sh.Orders.WaitForOutcome(ctx, last[0]); err != nil {
		return r, err
	}
	if !wrong {
		if err := awaitConfirmed(ctx, sh, cursorOrders+2); err != nil {
			return r, err
		}
	}
	if r.Work, err = count(ctx, sh, shop.Inventory, `SELECT count(*) FROM reservations`); err != nil {
		return r, err
	}
	if r.Done, err = ordersIn(ctx, sh, events.TopicInventory); err != nil {
		return r, err
	}
	r.Broken = r.Work - r.Done
	return r, nil
}

// awaitReservations waits until inventory has decided on n orders.
func awaitReservations(ctx context.Context, sh *scenario.Shop, n int) error {
	return scenario.Poll(ctx, "inventory to decide", func(ctx context.Context) error {
		have, err := count(ctx, sh, shop.Inventory, `SELECT count(*) FROM reservations`)
		if err == nil && have < n {
			err = fmt.Errorf("%d of %d orders are decided on", have, n)
		}
		return err
	})
}
