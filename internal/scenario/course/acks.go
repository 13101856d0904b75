package course

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/scenario"
	"millrace/internal/terminal"
)

var acks = scenario.Scenario{
	Name: "acks", Needs: scenario.PrivateBroker, Course: []string{"C2"},
	Play: playAcks,
}

const (
	acksTimed  = 200 // records sent one by one, for the time of an acknowledgement
	acksBefore = 300 // records confirmed before the broker freezes
	acksDuring = 100 // records sent while it is frozen
)

type acksEvidence struct {
	Levels []acksLevel `json:"levels"`
}

// acksLevel is what one setting of acks lost when the broker was killed.
type acksLevel struct {
	Acks      string `json:"acks"`
	Sent      int    `json:"sent"`
	Confirmed int    `json:"confirmed"` // what the producer believes to be safe
	// DuringFreeze counts those confirmed while the broker did nothing.
	DuringFreeze int `json:"confirmed_while_frozen"`
	Stored       int `json:"stored"`
	Lost         int `json:"lost_confirmed"` // confirmed, and not there after the restart
	// Open counts records that the producer knows it cannot be sure of.
	Open     int     `json:"not_confirmed"`
	P50Micro float64 `json:"ack_p50_us"`
	P99Micro float64 `json:"ack_p99_us"`
}

func (e acksEvidence) level(name string) acksLevel {
	for _, l := range e.Levels {
		if l.Acks == name {
			return l
		}
	}
	return acksLevel{Acks: name, Lost: -1}
}

func (e acksEvidence) Verdict() []scenario.Check {
	none, one, all := e.level("0"), e.level("1"), e.level("all")
	kept := func(l acksLevel) bool {
		return l.Lost == 0 && l.Confirmed >= acksBefore && l.DuringFreeze == 0 && l.Open >= acksDuring
	}
	return []scenario.Check{
		is("none_loses", none.Lost > 0 && none.Confirmed == none.Sent, a{"confirmed": none.Confirmed, "lost": none.Lost}),
		is("one_keeps", kept(one), a{"confirmed": one.Confirmed, "lost": one.Lost, "open": one.Open}),
		is("all_keeps", kept(all), a{"confirmed": all.Confirmed, "lost": all.Lost, "open": all.Open}),
	}
}

func playAcks(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
	b, err := s.Env.Broker(ctx, scenario.PrivateBroker)
	if err != nil {
		return nil, err
	}
	e := acksEvidence{}
	for _, level := range []struct {
		name string
		opts []kgo.Opt
	}{
		{"0", []kgo.Opt{kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()}},
		{"1", []kgo.Opt{kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()}},
		{"all", []kgo.Opt{kgo.RequiredAcks(kgo.AllISRAcks())}},
	} {
		s.Explain("level_"+level.name, nil)
		l, err := playAcksLevel(ctx, s, b, level.name, level.opts)
		if err != nil {
			return nil, err
		}
		e.Levels = append(e.Levels, l)
	}
	t := terminal.Table{Right: []bool{false, true, true, true, true, true}}
	t.Add("acks", s.Text("col_confirmed", nil), s.Text("col_stored", nil), s.Text("col_lost", nil), "p50", "p99")
	for _, l := range e.Levels {
		t.Add(l.Acks, strconv.Itoa(l.Confirmed), strconv.Itoa(l.Stored), strconv.Itoa(l.Lost), milliseconds(l.P50Micro), milliseconds(l.P99Micro))
	}
	s.Explain("table", nil)
	s.Table(t)
	return e, nil
}

func milliseconds(micro float64) string {
	return strconv.FormatFloat(micro/1000, 'f', 3, 64) + " ms"
}

// playAcksLevel sends, freezes the broker, sends on, kills it, starts it again and
// compares what was confirmed with what is there.
func playAcksLevel(ctx context.Context, s *scenario.Stage, b *scenario.Broker, name string, opts []kgo.Opt) (acksLevel, error) {
	l := acksLevel{Acks: name}
	topic, err := b.Topic(ctx, "payments-acks-"+name, 1)
	if err != nil {
		return l, err
	}
	client, err := b.Client(append(opts, kgo.DefaultProduceTopic(topic))...)
	if err != nil {
		return l, err
	}
	defer client.Close()
	var took []time.Duration
	for range acksTimed {
		began := time.Now()
		if err := produce(ctx, client, kgo.StringRecord("timed")); err != nil {
			return l, err
		}
		took = append(took, time.Since(began))
	}
	l.P50Micro, l.P99Micro = percentile(took, 50), percentile(took, 99)

	p := payments{client: client, confirmed: make([]atomic.Bool, acksBefore+acksDuring)}
	sending, giveUp := context.WithCancel(ctx)
	defer giveUp()
	p.send(sending, acksBefore)
	if err := p.await(ctx, acksBefore); err != nil {
		return l, err
	}
	if err := b.Freeze(); err != nil {
		return l, err
	}
	before := int(p.count.Load())
	s.Event("frozen", a{"n": before})
	p.send(sending, acksDuring)
	if name == "0" { // the others wait for an answer that never comes
		if err := p.await(ctx, acksBefore+acksDuring); err != nil {
			return l, err
		}
	}
	l.Sent, l.Confirmed = p.sent, int(p.count.Load())
	l.DuringFreeze, l.Open = l.Confirmed-before, l.Sent-l.Confirmed
	s.Event("while_frozen", a{"n": acksDuring, "confirmed": l.DuringFreeze})
	if err := b.Kill(); err != nil {
		return l, err
	}
	giveUp()
	client.Close()
	l.Confirmed = int(p.count.Load())
	if err := b.Start(ctx); err != nil {
		return l, err
	}
	stored, err := readWhole(ctx, b, topic)
	if err != nil {
		return l, err
	}
	there := map[string]bool{}
	for _, r := range stored {
		if string(r.Value) != "timed" {
			there[string(r.Value)] = true
		}
	}
	l.Stored = len(there)
	for i := range p.confirmed {
		if p.confirmed[i].Load() && !there[payment(i)] {
			l.Lost++
		}
	}
	s.Event("compared", a{"acks": name, "confirmed": l.Confirmed, "stored": l.Stored, "lost": l.Lost})
	return l, nil
}

// payments are numbered records on their way.
type payments struct {
	client    *kgo.Client
	sent      int
	confirmed []atomic.Bool
	count     atomic.Int64
}

func payment(i int) string { return fmt.Sprintf("payment %d", i) }

// send hands n records to the producer and does not wait.
func (p *payments) send(ctx context.Context, n int) {
	for range n {
		i := p.sent
		p.sent++
		p.client.Produce(ctx, kgo.StringRecord(payment(i)), func(_ *kgo.Record, err error) {
			if err == nil {
				p.confirmed[i].Store(true)
				p.count.Add(1)
			}
		})
	}
}

func (p *payments) await(ctx context.Context, n int) error {
	return scenario.Poll(ctx, "confirmations", func(context.Context) error {
		if have := p.count.Load(); have < int64(n) {
			return fmt.Errorf("%d of %d", have, n)
		}
		return nil
	})
}

// percentile is the nearest-rank percentile in microseconds, 0 without values.
func percentile(values []time.Duration, p int) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(float64(p) / 100 * float64(len(sorted))))
	return float64(sorted[max(rank, 1)-1].Microseconds())
}
