package course

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/scenario"
	"millrace/internal/shop"
	"millrace/pkg/events"
	"millrace/pkg/wrongway"
)

var wrongNoKey = scenario.Scenario{
	Name: "wrong-" + wrongway.NoKey, Needs: scenario.PrivateShop, Course: []string{"B2", "C1"},
	Play: func(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
		e, err := bothWays(ctx, s, wrongway.NoKey, nil, playNoKey)
		if w, ok := e.(wrongEvidence); ok {
			w.NoFault = true
			return w, err
		}
		return e, err
	},
}

const noKeyEvents = 40

// playNoKey puts many events of one order into the outbox, reads them back with one
// consumer, and counts those that came after a later one.
func playNoKey(ctx context.Context, sh *scenario.Shop, _ bool) (r wayRun, err error) {
	const order = "01990000-0000-7000-8000-000000000001"
	conn, err := pgx.Connect(ctx, sh.Addresses().Databases[shop.Order])
	if err != nil {
		return r, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	batch := &pgx.Batch{}
	for i := range noKeyEvents {
		payload, err := events.Encode(events.OrderCreated{
			OrderID: order, CustomerID: "customer_123", Items: []events.Item{{ProductID: "coffee-beans", Quantity: int64(i + 1)}}, Timestamp: time.Now(),
		})
		if err != nil {
			return r, err
		}
		batch.Queue(`INSERT INTO outbox (message_id, topic, key, payload) VALUES ($1, $2, $3, $4)`, fmt.Sprintf("version-%d", i), events.TopicOrders, []byte(order), payload)
	}
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return r, fmt.Errorf("write to the outbox: %w", err)
	}
	r.Work = noKeyEvents
	if err := scenario.Poll(ctx, "the relay", func(ctx context.Context) (err error) {
		if r.Done, err = endOf(ctx, sh, events.TopicOrders); err == nil && r.Done < noKeyEvents {
			err = fmt.Errorf("%d of %d events are sent", r.Done, noKeyEvents)
		}
		return err
	}); err != nil {
		return r, err
	}
	records, err := readWhole(ctx, sh.Broker, events.TopicOrders)
	r.Broken = overtaken(records)
	return r, err
}

// overtaken counts the events that were read after a later one of the same order.
func overtaken(read []*kgo.Record) (n int) {
	latest := int64(0)
	for _, record := range read {
		if e, err := events.Decode(record.Value); err == nil {
			created, ok := e.(events.OrderCreated)
			if !ok {
				continue
			}
			version := created.Items[0].Quantity
			if version < latest {
				n++
			}
			latest = max(latest, version)
		}
	}
	return n
}
