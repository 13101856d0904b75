package course

import (
	"context"
	"fmt"
	"time"

	"millrace/internal/scenario"
	"millrace/internal/shop"
	"millrace/pkg/events"
)

var consumerDown = scenario.Scenario{
	Name: "consumer-down", Needs: scenario.PrivateShop, Course: []string{"A6"},
	Play: playConsumerDown,
}

const downOrders = 40

type downEvidence struct {
	Orders int `json:"orders"`
	// While notification was stopped:
	ConfirmedDown int   `json:"confirmed_while_down"`
	LagDown       int64 `json:"lag_while_down"`
	MailsDown     int   `json:"mails_while_down"`
	// After it was started again:
	LagAfter     int64   `json:"lag_after"`
	DrainSeconds float64 `json:"drain_seconds"`
	audited
}

func (e downEvidence) Verdict() []scenario.Check {
	return []scenario.Check{
		is("goes_on", e.Orders == downOrders && e.ConfirmedDown == e.Orders, a{"n": e.ConfirmedDown, "of": e.Orders}),
		is("waits", e.LagDown == int64(e.Orders) && e.MailsDown == 0, a{"lag": e.LagDown, "mails": e.MailsDown}),
		is("drains", e.LagAfter == 0, a{"lag": e.LagAfter, "seconds": e.DrainSeconds}),
		auditCheck(e.audited, e.Orders),
	}
}

func playConsumerDown(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
	sh, err := s.Env.Shop(ctx, scenario.ShopNeeds{})
	if err != nil {
		return nil, err
	}
	if err := sh.Plenty(ctx); err != nil {
		return nil, err
	}
	e := downEvidence{Orders: downOrders}
	watch := s.WatchGroup(ctx, sh.Broker.Admin(), events.GroupNotification, events.TopicOrders)
	defer watch.Stop()
	if _, err := watch.AwaitShape(ctx, events.Partitions); err != nil {
		return nil, err
	}
	s.Explain("stop", nil)
	if err := sh.Stop(ctx, shop.Notification); err != nil {
		return nil, err
	}
	s.Event("stopped", nil)
	ids, err := sh.Place(ctx, downOrders, simpleOrder)
	if err != nil {
		return nil, err
	}
	if err := awaitConfirmed(ctx, sh, downOrders); err != nil {
		return nil, err
	}
	e.ConfirmedDown = downOrders
	if e.MailsDown, err = count(ctx, sh, shop.Notification, `SELECT count(*) FROM mails`); err != nil {
		return nil, err
	}
	view, err := watch.Await(ctx, "behind", func(v scenario.View) bool { return v.Lag() >= downOrders })
	if err != nil {
		return nil, err
	}
	e.LagDown = view.Lag()
	s.Event("confirmed", a{"n": downOrders, "lag": e.LagDown, "mails": e.MailsDown})

	s.Explain("start", nil)
	began := time.Now()
	if err := sh.Start(ctx, shop.Notification); err != nil {
		return nil, err
	}
	if err := sh.AwaitDone(ctx, ids); err != nil {
		return nil, err
	}
	e.LagAfter = -1
	if err := scenario.Poll(ctx, "the lag to be 0", func(ctx context.Context) error {
		lag, err := lagOf(ctx, sh, events.GroupNotification, events.TopicOrders)
		if e.LagAfter = lag; err == nil && lag > 0 {
			err = fmt.Errorf("it is %d", lag)
		}
		return err
	}); err != nil {
		return nil, err
	}
	e.DrainSeconds = seconds(time.Since(began))
	s.Event("drained", a{"took": time.Since(began)})
	e.audited, err = audit(ctx, sh, ids)
	return e, err
}
