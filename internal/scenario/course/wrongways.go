package course

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"millrace/internal/scenario"
	"millrace/internal/shop"
)

// wrongWays are the scenarios of what this shop can be made to do wrong. Each plays
// the wrong way and the right way under the same fault.
func wrongWays() []scenario.Scenario {
	return []scenario.Scenario{
		wrongDualWrite, wrongCursorOutbox, wrongAckBeforeWork, wrongDedupBeforeHandler, wrongAutoCommit, wrongNoKey, wrongUnboundedNack, wrongSharedRedrive,
	}
}

// wayRun is one way under the fault.
type wayRun struct {
	Work int `json:"work"` // what was to be done
	Done int `json:"done"`
	// Broken counts what breaks the invariant, or would have to be mended by hand.
	Broken int `json:"broken"`
	// Fired is how often the fault happened.
	Fired int64 `json:"fault_fired"`
}

// wrongEvidence is the wrong way beside the right way.
type wrongEvidence struct {
	Way   string `json:"wrong_way"`
	Least int    `json:"predicted_at_least"` // Broken of the wrong way
	Wrong wayRun `json:"wrong"`
	Right wayRun `json:"right"`
	// NoFault: it breaks without any fault.
	NoFault bool `json:"without_fault"`
}

func (e wrongEvidence) Verdict() []scenario.Check {
	return []scenario.Check{
		is("same_fault", e.NoFault || e.Wrong.Fired > 0 && e.Right.Fired > 0, a{"wrong": e.Wrong.Fired, "right": e.Right.Fired}),
		is("wrong_breaks", e.Least > 0 && e.Wrong.Broken >= e.Least && e.Wrong.Work > 0, a{"n": e.Wrong.Broken, "done": e.Wrong.Done, "of": e.Wrong.Work}),
		is("right_holds", e.Right.Broken == 0 && e.Right.Done == e.Right.Work && e.Right.Work > 0, a{"n": e.Right.Broken, "done": e.Right.Done, "of": e.Right.Work}),
	}
}

// bothWays starts a shop that goes the wrong way and one that goes the right way, at
// the same time and with the same faults, and plays on the one, then on the other.
func bothWays(ctx context.Context, s *scenario.Stage, way string, faults map[string]string, play func(ctx context.Context, sh *scenario.Shop, wrong bool) (wayRun, error)) (scenario.Evidence, error) {
	_, name := shop.SplitWrongWay(way)
	e := wrongEvidence{Way: name, Least: 1}
	var wrong, right *scenario.Shop
	group, starting := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		wrong, err = s.Env.Shop(starting, scenario.ShopNeeds{WrongWay: way, Faults: faults})
		return err
	})
	group.Go(func() (err error) {
		right, err = s.Env.Shop(starting, scenario.ShopNeeds{Faults: faults, Quietly: true})
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, run := range []struct {
		sh    *scenario.Shop
		wrong bool
		key   string
		into  *wayRun
	}{{wrong, true, "wrong", &e.Wrong}, {right, false, "right", &e.Right}} {
		if err := run.sh.Plenty(ctx); err != nil {
			return nil, err
		}
		if run.wrong {
			s.Explain("wrong", nil)
		} else {
			s.Explain("right", nil)
		}
		r, err := play(ctx, run.sh, run.wrong)
		if err != nil {
			return nil, fmt.Errorf("the %s way: %w", run.key, err)
		}
		*run.into = r
		if run.wrong {
			s.Event("wrong_result", a{"work": r.Work, "done": r.Done, "broken": r.Broken, "fired": r.Fired})
		} else {
			s.Event("right_result", a{"work": r.Work, "done": r.Done, "broken": r.Broken, "fired": r.Fired})
		}
	}
	return e, nil
}
