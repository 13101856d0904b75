package course

import (
	"context"
	"fmt"
	"time"

	"millrace/internal/scenario"
	"millrace/internal/shop"
	"millrace/pkg/events"
	"millrace/pkg/fault"
)

var duplicateDelivery = scenario.Scenario{
	Name: "duplicate-delivery", Needs: scenario.PrivateShop, Course: []string{"C3", "F"},
	Play: playDuplicateDelivery,
}

const (
	duplicateOrders = 30
	duplicateTimes  = 10 // how often each consumer does its work a second time
)

type duplicateEvidence struct {
	Orders int `json:"orders"`
	// Copies counts records in topic orders beyond one an order: the relay sent them,
	// and did not remember.
	Copies int `json:"copies_in_topic"`
	// Again counts second rounds of handlers that were done and did not know it.
	Again map[string]int64 `json:"handled_again"`
	// Starts is how often inventory was started: it dies once between its work and
	// its acknowledgement.
	Starts          int     `json:"inventory_starts"`
	RecoverySeconds float64 `json:"recovery_seconds"`
	audited
}

func (e duplicateEvidence) Verdict() []scenario.Check {
	return []scenario.Check{
		is("copies", e.Copies > 0, a{"n": e.Copies}),
		is("again", e.Again[shop.Inventory] > 0 && e.Again[shop.Notification] > 0, a{"inventory": e.Again[shop.Inventory], "notification": e.Again[shop.Notification]}),
		is("died", e.Starts >= 2, a{"n": e.Starts, "seconds": e.RecoverySeconds}),
		auditCheck(e.audited, e.Orders),
	}
}

func playDuplicateDelivery(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
	again := fmt.Sprintf("%s=duplicate,times=%d", fault.ConsumeAfterEffect, duplicateTimes)
	sh, err := s.Env.Shop(ctx, scenario.ShopNeeds{Faults: map[string]string{
		shop.Order:     string(fault.RelayAfterPublish) + "=duplicate,times=5,match.topic=" + events.TopicOrders,
		shop.Inventory: again, shop.Notification: again,
	}})
	if err != nil {
		return nil, err
	}
	if err := sh.Plenty(ctx); err != nil {
		return nil, err
	}
	e := duplicateEvidence{Again: map[string]int64{}}
	s.Explain("three", a{"n": duplicateTimes})
	ids, err := sh.Place(ctx, duplicateOrders, simpleOrder)
	if err != nil {
		return nil, err
	}
	if err := sh.AwaitDone(ctx, ids); err != nil {
		return nil, err
	}
	for _, service := range []string{shop.Inventory, shop.Notification} {
		if e.Again[service], err = sh.Fired(ctx, service, fault.ConsumeAfterEffect); err != nil {
			return nil, err
		}
	}
	records, err := endOf(ctx, sh, events.TopicOrders)
	if err != nil {
		return nil, err
	}
	e.Copies = records - duplicateOrders
	s.Event("twice", a{"copies": e.Copies, "inventory": e.Again[shop.Inventory], "notification": e.Again[shop.Notification]})

	s.Explain("death", nil)
	if err := sh.SetFault(ctx, shop.Inventory, string(fault.ConsumeAfterEffect)+"=crash,times=1"); err != nil {
		return nil, err
	}
	began := time.Now()
	last, err := sh.Place(ctx, 1, simpleOrder)
	if err != nil {
		return nil, err
	}
	ids = append(ids, last...)
	e.Orders = len(ids)
	if err := scenario.Poll(ctx, "the death of inventory", func(context.Context) error {
		info, err := sh.Part(shop.Inventory)
		if e.Starts = info.Starts; err == nil && info.Starts < 2 {
			err = fmt.Errorf("it was started %d times", info.Starts)
		}
		return err
	}); err != nil {
		return nil, err
	}
	s.Event("died", nil)
	if err := scenario.Poll(ctx, "the message to be acknowledged", func(ctx context.Context) error {
		lag, err := lagOf(ctx, sh, events.GroupInventory, events.TopicOrders)
		if err == nil && lag > 0 {
			err = fmt.Errorf("the lag is %d", lag)
		}
		return err
	}); err != nil {
		return nil, err
	}
	if err := sh.AwaitDone(ctx, ids); err != nil {
		return nil, err
	}
	e.RecoverySeconds = seconds(time.Since(began))
	s.Event("recovered", a{"took": time.Since(began)})
	e.audited, err = audit(ctx, sh, ids)
	return e, err
}
