package course

import (
	"context"
	"fmt"

	"millrace/internal/dlq"
	"millrace/internal/scenario"
	"millrace/internal/shop"
	"millrace/internal/shopclient"
	"millrace/pkg/events"
)

var redrive = scenario.Scenario{
	Name: "redrive", Needs: scenario.PrivateShop, Course: []string{"F"},
	Play: playRedrive,
}

const redriveOrders = 12

type redriveEvidence struct {
	Orders  int `json:"orders"`
	Letters int `json:"dead_letters"`
	// PendingBefore is how many orders had no outcome before the redrive.
	PendingBefore int `json:"pending_before"`
	Redriven      int `json:"redriven"`
	SecondRun     int `json:"redriven_by_second_run"`
	InRetryTopic  int `json:"records_in_retry_topic"`
	InOrders      int `json:"records_in_orders"`
	AuditRecords  int `json:"audit_records"`
	audited
}

func (e redriveEvidence) Verdict() []scenario.Check {
	return []scenario.Check{
		is("put_aside", e.Orders == redriveOrders && e.Letters == e.Orders && e.PendingBefore == e.Orders, a{"n": e.Letters, "pending": e.PendingBefore}),
		is("redriven", e.Redriven == e.Letters && e.AuditRecords > 0, a{"n": e.Redriven, "audit": e.AuditRecords}),
		is("group_alone", e.InRetryTopic == e.Redriven && e.InOrders == e.Orders, a{"retry": e.InRetryTopic, "orders": e.InOrders}),
		is("once", e.SecondRun == 0, a{"n": e.SecondRun}),
		auditCheck(e.audited, e.Orders),
	}
}

// brokenInventory makes every message of the topic orders fail for good in inventory.
const brokenInventory = "consume.before-effect=permanent,match.topic=" + events.TopicOrders

func playRedrive(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
	sh, err := s.Env.Shop(ctx, scenario.ShopNeeds{Faults: map[string]string{shop.Inventory: brokenInventory}})
	if err != nil {
		return nil, err
	}
	if err := sh.Plenty(ctx); err != nil {
		return nil, err
	}
	e := redriveEvidence{Orders: redriveOrders}
	s.Explain("broken", nil)
	ids, err := sh.Place(ctx, redriveOrders, simpleOrder)
	if err != nil {
		return nil, err
	}
	if e.Letters, err = awaitLetters(ctx, sh, redriveOrders); err != nil {
		return nil, err
	}
	if e.PendingBefore, err = count(ctx, sh, shop.Order, `SELECT count(*) FROM orders WHERE status = $1`, shopclient.Pending); err != nil {
		return nil, err
	}
	s.Event("put_aside", a{"n": e.Letters, "pending": e.PendingBefore})

	s.Explain("mend", nil)
	if err := sh.ClearFaults(ctx, shop.Inventory); err != nil {
		return nil, err
	}
	if e.Redriven, err = redriveAll(ctx, sh, false); err != nil {
		return nil, err
	}
	s.Event("redriven", a{"n": e.Redriven, "topic": events.RetryTopic(events.TopicOrders, events.GroupInventory)})
	if err := sh.AwaitDone(ctx, ids); err != nil {
		return nil, err
	}
	s.Event("done", a{"n": redriveOrders})
	if e.SecondRun, err = redriveAll(ctx, sh, false); err != nil {
		return nil, err
	}
	s.Event("second", a{"n": e.SecondRun})
	for topic, n := range map[string]*int{
		events.RetryTopic(events.TopicOrders, events.GroupInventory): &e.InRetryTopic,
		events.TopicOrders: &e.InOrders, events.TopicDLQAudit: &e.AuditRecords,
	} {
		if *n, err = endOf(ctx, sh, topic); err != nil {
			return nil, err
		}
	}
	e.audited, err = audit(ctx, sh, ids)
	return e, err
}

// awaitLetters waits for n dead letters of topic orders and counts them.
func awaitLetters(ctx context.Context, sh *scenario.Shop, n int) (have int, err error) {
	err = scenario.Poll(ctx, fmt.Sprintf("%d dead letters", n), func(ctx context.Context) (err error) {
		if have, err = endOf(ctx, sh, events.TopicOrdersDLQ); err == nil && have < n {
			err = fmt.Errorf("there are %d", have)
		}
		return err
	})
	return have, err
}

// redriveAll sends all open dead letters of orders again, as millrace dlq redrive --all
// does, and counts them; shared is the wrong way.
func redriveAll(ctx context.Context, sh *scenario.Shop, shared bool) (sent int, err error) {
	client, err := dlq.Connect(ctx, dlq.Config{Brokers: sh.Addresses().Brokers, Who: "scenario"})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	var failed error
	o := dlq.RedriveOptions{
		Topics: []string{events.TopicOrdersDLQ}, Filter: dlq.Filter{Statuses: []dlq.Status{dlq.Open, dlq.Redriving}},
		Report: func(r dlq.Result) {
			switch r.Outcome {
			case dlq.Sent, dlq.Completed:
				sent++
			case dlq.Refused, dlq.Failed:
				failed = fmt.Errorf("redrive of %s: %s", r.Letter, r.Reason)
			}
		},
	}
	if shared {
		o = dlq.SharedTopic(o)
	}
	choice, err := client.Choose(ctx, &o)
	if err != nil {
		return 0, err
	}
	if err := client.Redrive(ctx, choice, o); err != nil {
		return sent, err
	}
	return sent, failed
}
