package course

import (
	"context"
	"fmt"
	"time"

	"millrace/internal/scenario"
)

var surplusConsumer = scenario.Scenario{
	Name: "surplus-consumer", Needs: scenario.AnyBroker, Course: []string{"D4"},
	Play: playSurplusConsumer,
}

const (
	surplusPartitions = 3
	surplusEach       = 20 // records to each partition, before and after the death
)

type surplusEvidence struct {
	Partitions int `json:"partitions"`
	// Before and After are how many partitions each member held, the most first.
	Before []int `json:"held_before"`
	After  []int `json:"held_after"`
	// IdleRead is what the one that stood by had read when the first half was done.
	IdleRead  int `json:"idle_read"`
	StandbyIn int `json:"standby_partitions_after"`
	// StandbyRead is what it has read in the end.
	StandbyRead     int     `json:"standby_read_after"`
	SessionSeconds  float64 `json:"session_seconds"`
	TakeoverSeconds float64 `json:"takeover_seconds"`
	delivery
}

func (e surplusEvidence) Verdict() []scenario.Check {
	return []scenario.Check{
		is("one_each", shape(e.Before, 1, 1, 1, 0), a{"held": e.Before}),
		is("idle", e.IdleRead == 0, a{"n": e.IdleRead}),
		is("takes_over", shape(e.After, 1, 1, 1) && e.StandbyIn == 1, a{"held": e.After, "seconds": e.TakeoverSeconds, "session": e.SessionSeconds}),
		is("works", e.StandbyRead >= surplusEach, a{"n": e.StandbyRead}),
		is("nothing_lost", e.Sent == 2*surplusEach*e.Partitions && e.Lost == 0, a{"sent": e.Sent, "lost": e.Lost, "again": e.Again}),
	}
}

// shape reports whether members hold so many partitions.
func shape(held []int, want ...int) bool {
	if len(held) != len(want) {
		return false
	}
	for i := range held {
		if held[i] != want[i] {
			return false
		}
	}
	return true
}

func playSurplusConsumer(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
	g, err := newGroup(ctx, s, "tickets", "ticket-desk", surplusPartitions)
	if err != nil {
		return nil, err
	}
	defer g.end()
	e := surplusEvidence{Partitions: surplusPartitions, SessionSeconds: g.session.Seconds()}
	s.Explain("four", a{"partitions": surplusPartitions})
	for i := range surplusPartitions + 1 {
		g.join(fmt.Sprintf("consumer-%d", i+1))
	}
	before, err := g.watch.AwaitShape(ctx, 1, 1, 1, 0)
	if err != nil {
		return nil, err
	}
	e.Before = before.Shape()
	var standby, victim *scenario.Member
	for _, m := range g.members {
		if len(before.Holding(m.Name)) == 0 {
			standby = m
		} else {
			victim = m
		}
	}
	s.Event("stands_by", a{"name": standby.Name})
	if err := g.send(ctx, surplusEach); err != nil {
		return nil, err
	}
	if _, err := g.delivered(ctx); err != nil {
		return nil, err
	}
	e.IdleRead = len(standby.Got())
	s.Event("first_half", a{"n": len(g.sent), "name": standby.Name, "idle": e.IdleRead})

	s.Explain("death", a{"name": victim.Name, "session": g.session})
	killed := time.Now()
	if err := victim.Kill(); err != nil {
		return nil, err
	}
	s.Event("killed", a{"name": victim.Name})
	if err := g.send(ctx, surplusEach); err != nil {
		return nil, err
	}
	after, err := g.watch.AwaitShape(ctx, 1, 1, 1)
	if err != nil {
		return nil, err
	}
	e.After, e.StandbyIn, e.TakeoverSeconds = after.Shape(), len(after.Holding(standby.Name)), seconds(time.Since(killed))
	s.Event("taken_over", a{"name": standby.Name, "partitions": after.Holding(standby.Name), "took": time.Since(killed)})
	if e.delivery, err = g.delivered(ctx); err != nil {
		return nil, err
	}
	e.StandbyRead = len(standby.Got())
	s.Event("all_read", a{"n": e.Sent, "again": e.Again})
	return e, nil
}
