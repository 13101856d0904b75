package course

import (
	"context"

	"millrace/internal/scenario"
	"millrace/internal/shop"
	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/wrongway"
)

var wrongSharedRedrive = scenario.Scenario{
	Name: "wrong-" + wrongway.SharedRedrive, Needs: scenario.PrivateShop, Course: []string{"F"},
	Play: playSharedRedrive,
}

const sharedOrders = 8

// playSharedRedrive needs one shop: the wrong way is one of a tool. It has inventory
// put orders aside and redrives them, first to the topic of all, then to the group's.
func playSharedRedrive(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
	sh, err := s.Env.Shop(ctx, scenario.ShopNeeds{})
	if err != nil {
		return nil, err
	}
	if err := sh.Plenty(ctx); err != nil {
		return nil, err
	}
	e := wrongEvidence{Way: wrongway.SharedRedrive, Least: sharedOrders}
	var ids []string
	round := func(shared bool) (r wayRun, err error) {
		if err := sh.SetFault(ctx, shop.Inventory, brokenInventory); err != nil {
			return r, err
		}
		before, err := endOf(ctx, sh, events.TopicOrdersDLQ)
		if err != nil {
			return r, err
		}
		more, err := sh.Place(ctx, sharedOrders, simpleOrder)
		if err != nil {
			return r, err
		}
		ids = append(ids, more...)
		if _, err := awaitLetters(ctx, sh, before+sharedOrders); err != nil {
			return r, err
		}
		if r.Fired, err = sh.Fired(ctx, shop.Inventory, fault.ConsumeBeforeEffect); err != nil {
			return r, err
		}
		if err := sh.ClearFaults(ctx, shop.Inventory); err != nil {
			return r, err
		}
		written, err := endOf(ctx, sh, events.TopicOrders)
		if err != nil {
			return r, err
		}
		r.Work = sharedOrders
		if r.Done, err = redriveAll(ctx, sh, shared); err != nil {
			return r, err
		}
		if err := sh.AwaitDone(ctx, ids); err != nil {
			return r, err
		}
		after, err := endOf(ctx, sh, events.TopicOrders)
		r.Broken = after - written
		return r, err
	}
	s.Explain("wrong", nil)
	if e.Wrong, err = round(true); err != nil {
		return nil, err
	}
	s.Event("wrong_result", a{"done": e.Wrong.Done, "broken": e.Wrong.Broken})
	s.Explain("right", nil)
	if e.Right, err = round(false); err != nil {
		return nil, err
	}
	s.Event("right_result", a{"done": e.Right.Done, "broken": e.Right.Broken})
	return e, nil
}
