package course

import (
	"context"
	"errors"
	"fmt"

	"millrace/internal/scenario"
	"millrace/internal/shop"
	"millrace/pkg/events"
	"millrace/pkg/fault"
)

// failsOnce makes one message fail for a passing reason before the handler's work.
const failsOnce = "consume.before-effect=error,times=1,match.topic=" + events.TopicOrders

const failsOrders = 12

// playFailsOnce places orders, of which inventory fails one once, then as many again,
// and counts the orders that it has read and not dealt with. A partition is worked off
// in its order: when the later ones are done, an earlier one is not in hand any more.
func playFailsOnce(ctx context.Context, sh *scenario.Shop, wrong bool) (r wayRun, err error) {
	if _, err := sh.Place(ctx, failsOrders, simpleOrder); err != nil {
		return r, err
	}
	if err := scenario.Poll(ctx, "the failure", func(ctx context.Context) error {
		if r.Fired, err = sh.Fired(ctx, shop.Inventory, fault.ConsumeBeforeEffect); err == nil && r.Fired == 0 {
			err = errors.New("it has not come yet")
		}
		return err
	}); err != nil {
		return r, err
	}
	if _, err := sh.Place(ctx, failsOrders, simpleOrder); err != nil {
		return r, err
	}
	r.Work = 2 * failsOrders
	want := r.Work
	if wrong {
		want--
	}
	// Done is done, and read is read: the group has committed everything.
	err = scenario.Poll(ctx, "inventory to have read everything", func(ctx context.Context) error {
		lag, err := lagOf(ctx, sh, events.GroupInventory, events.TopicOrders)
		if err != nil {
			return err
		}
		if r.Done, err = count(ctx, sh, shop.Inventory, `SELECT count(*) FROM reservations`); err != nil {
			return err
		}
		if lag > 0 || r.Done < want {
			return fmt.Errorf("the lag is %d, %d of %d orders are dealt with", lag, r.Done, want)
		}
		return nil
	})
	letters, err2 := endOf(ctx, sh, events.TopicOrdersDLQ)
	if err == nil {
		err = err2
	}
	r.Broken = r.Work - r.Done - letters
	return r, err
}
