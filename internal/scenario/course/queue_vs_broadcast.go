package course

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"millrace/internal/scenario"
	"millrace/internal/shop"
	"millrace/internal/shopclient"
	"millrace/pkg/events"
)

var queueVsBroadcast = scenario.Scenario{
	Name: "queue-vs-broadcast", Needs: scenario.PrivateShop, Course: []string{"A2", "A5", "D6", "F"},
	Play: playQueueVsBroadcast,
}

const queueOrders = 60

type queueEvidence struct {
	Orders  int `json:"orders"`
	Records int `json:"records_in_topic"`
	// Shares are the records that each instance of inventory got: those of its
	// partitions, which did not change meanwhile.
	Shares    map[string]int `json:"inventory_shares"`
	Steady    bool           `json:"assignment_unchanged"`
	Inventory int            `json:"processed_by_inventory"`    // rows in its inbox for records of orders
	Mails     int            `json:"processed_by_notification"` // likewise
	Lost      int            `json:"lost"`
	Twice     int            `json:"done_twice"`
	Confirmed int            `json:"confirmed"`
	Emails    int            `json:"emails"`
}

func (e queueEvidence) Verdict() []scenario.Check {
	sum, least := 0, e.Records
	for _, n := range e.Shares {
		sum, least = sum+n, min(least, n)
	}
	return []scenario.Check{
		is("one_record", e.Orders == queueOrders && e.Records == e.Orders, a{"n": e.Records, "orders": e.Orders}),
		is("queue", e.Steady && len(e.Shares) == 2 && sum == e.Records && least > 0, a{"shares": shares(e.Shares)}),
		is("inventory_once", e.Inventory == e.Orders, a{"n": e.Inventory, "of": e.Orders}),
		is("broadcast", e.Mails == e.Orders, a{"n": e.Mails, "of": e.Orders}),
		is("nothing_lost", e.Confirmed == e.Orders && e.Lost == 0 && e.Twice == 0 && e.Emails == 2*e.Orders, a{"confirmed": e.Confirmed, "lost": e.Lost, "twice": e.Twice, "emails": e.Emails}),
	}
}

// shares puts who has how many in one line.
func shares(of map[string]int) []string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, of[name]))
	}
	return parts
}

func playQueueVsBroadcast(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
	sh, err := s.Env.Shop(ctx, scenario.ShopNeeds{Instances: map[string]int{shop.Inventory: 2}})
	if err != nil {
		return nil, err
	}
	if err := sh.Plenty(ctx); err != nil {
		return nil, err
	}
	e := queueEvidence{Orders: queueOrders, Shares: map[string]int{}}
	s.Explain("groups", a{"partitions": events.Partitions})
	inventory := s.WatchGroup(ctx, sh.Broker.Admin(), events.GroupInventory, events.TopicOrders)
	defer inventory.Stop()
	notification := s.WatchGroup(ctx, sh.Broker.Admin(), events.GroupNotification, events.TopicOrders)
	defer notification.Stop()
	before, err := inventory.AwaitShape(ctx, events.Partitions/2, events.Partitions/2)
	if err != nil {
		return nil, err
	}
	if _, err := notification.AwaitShape(ctx, events.Partitions); err != nil {
		return nil, err
	}
	s.Event("ready", nil)
	s.Explain("orders", a{"n": queueOrders})
	ids, err := sh.Place(ctx, queueOrders, simpleOrder)
	if err != nil {
		return nil, err
	}
	s.Event("placed", a{"n": len(ids)})
	if err := sh.AwaitDone(ctx, ids); err != nil {
		return nil, err
	}
	after, err := inventory.AwaitShape(ctx, events.Partitions/2, events.Partitions/2)
	if err != nil {
		return nil, err
	}
	e.Steady = sameHolding(before, after)
	records, err := readWhole(ctx, sh.Broker, events.TopicOrders)
	if err != nil {
		return nil, err
	}
	e.Records = len(records)
	var messages []string
	for _, r := range records {
		messages = append(messages, header(r, events.HeaderMessageID))
		for _, h := range after.Holders {
			if slices.Contains(h.Partitions, r.Partition) {
				e.Shares[h.Member]++
			}
		}
	}
	if e.Inventory, err = inboxed(ctx, sh, shop.Inventory, events.GroupInventory, messages); err != nil {
		return nil, err
	}
	if e.Mails, err = inboxed(ctx, sh, shop.Notification, events.GroupNotification, messages); err != nil {
		return nil, err
	}
	s.Event("queue", a{"shares": shares(e.Shares)})
	s.Event("broadcast", a{"n": e.Mails})
	result, err := sh.Audit(ctx, ids)
	e.Lost, e.Twice, e.Confirmed, e.Emails = result.Lost, result.Duplicates, result.Confirmed, result.Emails
	return e, err
}

func sameHolding(a, b scenario.View) bool {
	return slices.EqualFunc(a.Holders, b.Holders, func(x, y scenario.Holder) bool {
		return x.Member == y.Member && slices.Equal(x.Partitions, y.Partitions)
	})
}

// simpleOrder is order i of a scenario: one product, one of a hundred customers.
func simpleOrder(i int) shopclient.NewOrder {
	return shopclient.NewOrder{
		CustomerID: fmt.Sprintf("customer_%03d", i%100),
		Items:      []shopclient.Line{{ProductID: "coffee-beans", Quantity: 1}},
	}
}
