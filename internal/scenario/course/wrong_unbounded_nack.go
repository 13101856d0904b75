package course

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/scenario"
	"millrace/internal/shop"
	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/wrongway"
)

var wrongUnboundedNack = scenario.Scenario{
	Name: "wrong-" + wrongway.UnboundedNack, Needs: scenario.PrivateShop, Course: []string{"F"},
	Play: func(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
		return bothWays(ctx, s, wrongway.UnboundedNack, map[string]string{shop.Inventory: string(fault.ConsumeBeforeEffect) + "=error,match.order_id=poison"}, playUnboundedNack)
	},
}

const (
	nackBehind = 10 // orders behind the poison, in its partition
	nackTimes  = 50 // redeliveries that are enough to believe that it never ends
)

// playUnboundedNack writes a message that never succeeds and orders behind it, and
// counts those that are held up.
func playUnboundedNack(ctx context.Context, sh *scenario.Shop, wrong bool) (r wayRun, err error) {
	client, err := sh.Broker.Client(kgo.DefaultProduceTopic(events.TopicOrders), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		return r, err
	}
	records := []*kgo.Record{}
	for i, id := range append([]string{"poison"}, numbered("behind", nackBehind)...) {
		record, err := orderRecord(id, 0, i)
		if err != nil {
			return r, err
		}
		records = append(records, record)
	}
	beside, err := orderRecord("beside", 1, 0)
	if err != nil {
		return r, err
	}
	if err := produce(ctx, client, append(records, beside)...); err != nil {
		return r, err
	}
	r.Work = nackBehind
	err = scenario.Poll(ctx, "inventory", func(ctx context.Context) error {
		if r.Fired, err = sh.Fired(ctx, shop.Inventory, fault.ConsumeBeforeEffect); err != nil {
			return err
		}
		if r.Done, err = count(ctx, sh, shop.Inventory, `SELECT count(*) FROM reservations WHERE order_id LIKE 'behind%'`); err != nil {
			return err
		}
		besides, err := count(ctx, sh, shop.Inventory, `SELECT count(*) FROM reservations WHERE order_id = 'beside'`)
		switch {
		case err != nil:
			return err
		case besides == 0:
			return errors.New("the order in another partition is not dealt with")
		case wrong && r.Fired < nackTimes:
			return fmt.Errorf("the message came %d times", r.Fired)
		case !wrong && r.Done < nackBehind:
			return fmt.Errorf("%d of %d orders behind it are dealt with", r.Done, nackBehind)
		}
		return nil
	})
	r.Broken = r.Work - r.Done
	// What is held up goes on, so that the shop can be ended.
	return r, errors.Join(err, sh.ClearFaults(ctx, shop.Inventory))
}

func numbered(name string, n int) []string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("%s-%d", name, i))
	}
	return names
}

// orderRecord is ORDER_CREATED of an order that the order service does not know.
func orderRecord(id string, partition int32, n int) (*kgo.Record, error) {
	e := events.OrderCreated{
		OrderID: id, CustomerID: fmt.Sprintf("customer_%03d", n), Total: 100, Timestamp: time.Now(),
		Items: []events.Item{{ProductID: "coffee-beans", Quantity: 1}},
	}
	value, err := events.Encode(e)
	if err != nil {
		return nil, err
	}
	headers := events.Headers(e)
	headers[events.HeaderMessageID] = "message-of-" + id
	r := &kgo.Record{Partition: partition, Key: []byte(id), Value: value}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(headers[name])})
	}
	return r, nil
}
