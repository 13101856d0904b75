package course

import (
	"context"

	"millrace/internal/scenario"
	"millrace/internal/shop"
	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/wrongway"
)

var wrongDualWrite = scenario.Scenario{
	Name: "wrong-" + wrongway.DualWrite, Needs: scenario.PrivateShop, Course: []string{"A6", "F"},
	Play: func(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
		// The process goes on, but between the commit and the answer something fails once.
		return bothWays(ctx, s, wrongway.DualWrite, map[string]string{shop.Order: string(fault.OrderAfterCommit) + "=error,times=1"}, playDualWrite)
	},
}

const dualWriteOrders = 8

// playDualWrite places orders, the first of which meets the fault, and counts orders
// without an event.
func playDualWrite(ctx context.Context, sh *scenario.Shop, wrong bool) (r wayRun, err error) {
	// The client sees a broken connection; that it does not know more is the point.
	_, _ = sh.Orders.PlaceOrder(ctx, simpleOrder(0), "meets-the-fault")
	if _, err := sh.Place(ctx, dualWriteOrders-1, simpleOrder); err != nil {
		return r, err
	}
	want := dualWriteOrders
	if wrong {
		want-- // what was published after the commit is there; what was not will never come
	}
	if err := awaitConfirmed(ctx, sh, want); err != nil {
		return r, err
	}
	if r.Work, err = count(ctx, sh, shop.Order, `SELECT count(*) FROM orders`); err != nil {
		return r, err
	}
	if r.Done, err = ordersIn(ctx, sh, events.TopicOrders); err != nil {
		return r, err
	}
	r.Broken = r.Work - r.Done
	r.Fired, err = sh.Fired(ctx, shop.Order, fault.OrderAfterCommit)
	return r, err
}

// ordersIn counts the orders that have a record in a topic.
func ordersIn(ctx context.Context, sh *scenario.Shop, topic string) (int, error) {
	records, err := readWhole(ctx, sh.Broker, topic)
	if err != nil {
		return 0, err
	}
	orders := map[string]bool{}
	for _, r := range records {
		if e, err := events.Decode(r.Value); err == nil {
			orders[e.Key()] = true
		}
	}
	return len(orders), nil
}
