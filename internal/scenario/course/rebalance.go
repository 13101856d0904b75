package course

import (
	"context"
	"time"

	"millrace/internal/scenario"
)

var rebalance = scenario.Scenario{
	Name: "rebalance", Needs: scenario.AnyBroker, Course: []string{"D4"},
	Play: playRebalance,
}

const (
	rebalancePartitions = 4
	rebalanceEach       = 25 // records to each partition, in each of three rounds
	rebalanceRounds     = 3
)

type rebalanceEvidence struct {
	Partitions int   `json:"partitions"`
	Alone      []int `json:"held_by_one"`
	Both       []int `json:"held_by_two"`
	After      []int `json:"held_after_death"`
	// ByDead and ByOther are how many records each has read.
	ByDead          int     `json:"read_by_the_dead"`
	ByOther         int     `json:"read_by_the_other"`
	SessionSeconds  float64 `json:"session_seconds"`
	JoinSeconds     float64 `json:"join_seconds"`
	TakeoverSeconds float64 `json:"takeover_seconds"`
	delivery
}

func (e rebalanceEvidence) Verdict() []scenario.Check {
	return []scenario.Check{
		is("alone", shape(e.Alone, e.Partitions), a{"held": e.Alone}),
		is("both", shape(e.Both, e.Partitions/2, e.Partitions/2), a{"held": e.Both, "seconds": e.JoinSeconds}),
		is("survivor", shape(e.After, e.Partitions), a{"held": e.After, "seconds": e.TakeoverSeconds, "session": e.SessionSeconds}),
		is("shared", e.ByDead > 0 && e.ByOther > e.ByDead, a{"dead": e.ByDead, "other": e.ByOther}),
		is("nothing_lost", e.Sent == rebalanceRounds*rebalanceEach*e.Partitions && e.Lost == 0, a{"sent": e.Sent, "lost": e.Lost, "again": e.Again}),
	}
}

func playRebalance(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
	g, err := newGroup(ctx, s, "parcels", "couriers", rebalancePartitions)
	if err != nil {
		return nil, err
	}
	defer g.end()
	e := rebalanceEvidence{Partitions: rebalancePartitions, SessionSeconds: g.session.Seconds()}
	s.Explain("first", nil)
	other := g.join("courier-1")
	view, err := g.watch.AwaitShape(ctx, rebalancePartitions)
	if err != nil {
		return nil, err
	}
	e.Alone = view.Shape()
	if err := g.send(ctx, rebalanceEach); err != nil {
		return nil, err
	}
	if _, err := g.delivered(ctx); err != nil {
		return nil, err
	}
	s.Event("has_all", a{"name": other.Name, "partitions": view.Holding(other.Name), "n": len(other.Got())})

	s.Explain("second", nil)
	began := time.Now()
	dead := g.join("courier-2")
	if view, err = g.watch.AwaitShape(ctx, rebalancePartitions/2, rebalancePartitions/2); err != nil {
		return nil, err
	}
	e.Both, e.JoinSeconds = view.Shape(), seconds(time.Since(began))
	s.Event("divided", a{"one": view.Holding(other.Name), "two": view.Holding(dead.Name), "took": time.Since(began)})
	if err := g.send(ctx, rebalanceEach); err != nil {
		return nil, err
	}
	if _, err := g.delivered(ctx); err != nil {
		return nil, err
	}

	s.Explain("death", a{"name": dead.Name, "session": g.session})
	killed := time.Now()
	if err := dead.Kill(); err != nil {
		return nil, err
	}
	s.Event("killed", a{"name": dead.Name})
	if err := g.send(ctx, rebalanceEach); err != nil {
		return nil, err
	}
	if view, err = g.watch.AwaitShape(ctx, rebalancePartitions); err != nil {
		return nil, err
	}
	e.After, e.TakeoverSeconds = view.Shape(), seconds(time.Since(killed))
	s.Event("taken_over", a{"name": other.Name, "partitions": view.Holding(other.Name), "took": time.Since(killed)})
	if e.delivery, err = g.delivered(ctx); err != nil {
		return nil, err
	}
	e.ByDead, e.ByOther = len(dead.Got()), len(other.Got())
	s.Event("all_read", a{"n": e.Sent, "one": e.ByOther, "two": e.ByDead})
	return e, nil
}
