package course

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"millrace/internal/scenario"
	"millrace/internal/scenario/plot"
	"millrace/internal/shop"
	"millrace/internal/shopclient"
	"millrace/pkg/events"
)

var burst = scenario.Scenario{
	Name: "burst", Needs: scenario.PrivateShop, Course: []string{"A1", "A6", "F"},
	Patience:  90 * time.Minute, // for the largest; an ordinary one takes half a minute
	MaxEvents: 100_000,
	Play:      playBurst,
}

const (
	burstOrders  = 1200 // fits into half a minute
	burstClients = 32   // requests at a time
	// burstDelay makes each message take longer in inventory and notification.
	burstDelay = 10 * time.Millisecond
	// burstLook is the pause between two looks at the committed offsets.
	burstLook = 200 * time.Millisecond
)

type burstEvidence struct {
	Orders       int     `json:"orders"`
	Refused      int     `json:"refused"` // requests that were not answered with 201
	PlaceSeconds float64 `json:"place_seconds"`
	PlacedPerS   float64 `json:"placed_per_s"`
	P50MS        float64 `json:"api_p50_ms"`
	P99MS        float64 `json:"api_p99_ms"`
	MaxMS        float64 `json:"api_max_ms"`
	// PeakLag is the largest lag of each group on topic orders, by the committed offsets.
	PeakLag map[string]int64 `json:"peak_lag"`
	EndLag  map[string]int64 `json:"end_lag"`
	// DrainSeconds is from the last accepted order until all effects were there.
	DrainSeconds float64 `json:"drain_seconds"`
	DonePerS     float64 `json:"orders_done_per_s"`
	DelayMS      int64   `json:"delay_of_each_message_ms"`
	// Lag is how it went, thinned to few points.
	Lag []lagPoint `json:"lag"`
	audited
}

// lagPoint is the lag of the groups at one moment.
type lagPoint struct {
	Seconds      float64 `json:"s"`
	Inventory    int64   `json:"inventory"`
	Notification int64   `json:"notification"`
}

func (e burstEvidence) Verdict() []scenario.Check {
	inventory, notification := e.PeakLag[events.GroupInventory], e.PeakLag[events.GroupNotification]
	end := e.EndLag[events.GroupInventory] + e.EndLag[events.GroupNotification]
	// Fast means: the answer does not wait for the work. What waits is seen in the drain.
	fast := e.P50MS > 0 && 10*e.P50MS < 1000*e.DrainSeconds
	return []scenario.Check{
		is("accepted", e.Orders > 0 && e.Refused == 0, a{"n": e.Orders, "refused": e.Refused, "rate": e.PlacedPerS}),
		is("api_fast", fast, a{"p50": e.P50MS, "p99": e.P99MS, "drain": e.DrainSeconds}),
		is("climbs", 10*min(inventory, notification) >= int64(e.Orders) && e.Orders > 0, a{"inventory": inventory, "notification": notification}),
		is("drains", len(e.EndLag) == 2 && end == 0, a{"n": end, "seconds": e.DrainSeconds}),
		auditCheck(e.audited, e.Orders),
	}
}

func playBurst(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
	if s.Options.SVG != "" { // refused before the work, not after it
		f, err := os.OpenFile(s.Options.SVG, os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return nil, fmt.Errorf("--svg: %w", err)
		}
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("--svg: %w", err)
		}
	}
	n := s.Options.Events
	if n == 0 {
		n = burstOrders
	}
	slow := fmt.Sprintf("consume.before-effect=delay,delay=%s", burstDelay)
	sh, err := s.Env.Shop(ctx, scenario.ShopNeeds{Faults: map[string]string{shop.Inventory: slow, shop.Notification: slow}})
	if err != nil {
		return nil, err
	}
	if err := sh.Plenty(ctx); err != nil {
		return nil, err
	}
	e := burstEvidence{Orders: n, DelayMS: burstDelay.Milliseconds(), PeakLag: map[string]int64{}, EndLag: map[string]int64{}}
	s.Explain("begin", a{"n": n, "clients": burstClients, "delay": burstDelay})

	b := &burstRun{stage: s, shop: sh, began: time.Now(), evidence: &e}
	var ids []string
	var placed time.Time
	group, running := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		ids, err = b.place(running, n)
		placed = time.Now()
		return err
	})
	group.Go(func() error { return b.follow(running) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	e.DrainSeconds = seconds(time.Since(placed))
	e.DonePerS = rate(n, time.Since(b.began))
	s.Event("drained", a{"took": time.Since(placed), "rate": e.DonePerS})
	for _, at := range b.samples {
		e.PeakLag[events.GroupInventory] = max(e.PeakLag[events.GroupInventory], at.Inventory)
		e.PeakLag[events.GroupNotification] = max(e.PeakLag[events.GroupNotification], at.Notification)
	}
	const points = 40
	for i := 0; i < len(b.samples); i += max(1, len(b.samples)/points) {
		e.Lag = append(e.Lag, b.samples[i])
	}
	last := b.samples[len(b.samples)-1]
	e.EndLag[events.GroupInventory], e.EndLag[events.GroupNotification] = last.Inventory, last.Notification
	if s.Options.SVG != "" {
		if err := b.draw(placed); err != nil {
			return nil, err
		}
	}
	s.Explain("audit", nil)
	result, err := sh.AuditByTables(ctx, ids)
	e.audited = audited{Confirmed: result.Confirmed, Emails: result.Emails, Lost: result.Lost, Twice: result.Duplicates}
	return e, err
}

func rate(n int, d time.Duration) float64 { return math.Round(10*float64(n)/d.Seconds()) / 10 }

// burstRun is a burst under way.
type burstRun struct {
	stage    *scenario.Stage
	shop     *scenario.Shop
	began    time.Time
	evidence *burstEvidence
	accepted atomic.Int64
	placed   atomic.Bool // all requests are answered
	samples  []lagPoint
}

// place sends all orders, each once, and measures each answer.
func (b *burstRun) place(ctx context.Context, n int) ([]string, error) {
	ids, took := make([]string, n), make([]time.Duration, n)
	var refused atomic.Int64
	var first atomic.Pointer[error]
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(burstClients)
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			began := time.Now()
			o, err := b.shop.Orders.PlaceOrder(ctx, simpleOrder(i), "burst-"+strconv.Itoa(i))
			if err != nil {
				refused.Add(1)
				first.CompareAndSwap(nil, &err)
				return ctx.Err()
			}
			ids[i], took[i] = o.ID, time.Since(began)
			b.accepted.Add(1)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := first.Load(); err != nil && refused.Load() == int64(n) {
		return nil, fmt.Errorf("no order was accepted: %w", *err)
	}
	e := b.evidence
	e.Refused = int(refused.Load())
	e.PlaceSeconds, e.PlacedPerS = seconds(time.Since(b.began)), rate(n, time.Since(b.began))
	ms := func(p int) float64 { return math.Round(percentile(took, p)/10) / 100 }
	e.P50MS, e.P99MS, e.MaxMS = ms(50), ms(99), ms(100)
	b.placed.Store(true)
	b.stage.Event("placed", a{"n": n, "took": time.Since(b.began), "p50": e.P50MS, "p99": e.P99MS})
	return ids, nil
}

// follow samples the lag until everything is done.
func (b *burstRun) follow(ctx context.Context) error {
	const tellEvery = 3 * time.Second
	ticker := time.NewTicker(burstLook)
	defer ticker.Stop()
	told := time.Now()
	for {
		at := lagPoint{Seconds: seconds(time.Since(b.began))}
		rest := int64(0) // of the topic that inventory writes
		for _, look := range []struct {
			group, topic string
			into         *int64
		}{
			{events.GroupInventory, events.TopicOrders, &at.Inventory},
			{events.GroupNotification, events.TopicOrders, &at.Notification},
			{events.GroupOrder, events.TopicInventory, &rest},
		} {
			lag, err := lagOf(ctx, b.shop, look.group, look.topic)
			if err != nil {
				return fmt.Errorf("look at the lag of %s: %w", look.group, err)
			}
			*look.into += lag
		}
		b.samples = append(b.samples, at)
		if time.Since(told) > tellEvery {
			told = time.Now()
			b.stage.Event("lag", a{"accepted": b.accepted.Load(), "inventory": at.Inventory, "notification": at.Notification})
		}
		if b.placed.Load() && at.Inventory == 0 && at.Notification == 0 && rest == 0 {
			done, err := b.done(ctx)
			if err != nil || done {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// done reports whether every accepted order has its outcome and both its mails.
func (b *burstRun) done(ctx context.Context) (bool, error) {
	pending, err := count(ctx, b.shop, shop.Order, `SELECT count(*) FROM orders WHERE status = $1`, shopclient.Pending)
	mails, err2 := count(ctx, b.shop, shop.Notification, `SELECT count(*) FROM mails`)
	return pending == 0 && mails >= 2*int(b.accepted.Load()), errors.Join(err, err2)
}

// draw writes the plot of the lag over time.
func (b *burstRun) draw(placed time.Time) (err error) {
	e, s := b.evidence, b.stage
	chart := plot.Chart{
		Lang:  string(s.Lang()),
		Title: s.Text("plot_title", a{"n": e.Orders}),
		Summary: s.Text("plot_summary", a{"inventory": e.PeakLag[events.GroupInventory], "notification": e.PeakLag[events.GroupNotification],
			"drain": e.DrainSeconds}),
		XLabel: s.Text("plot_x", nil), YLabel: s.Text("plot_y", nil),
		Series: []plot.Series{{Name: events.GroupInventory}, {Name: events.GroupNotification}},
		Marks:  []plot.Mark{{Name: s.Text("plot_placed", nil), X: placed.Sub(b.began).Seconds()}},
	}
	for _, at := range b.samples {
		chart.Series[0].Points = append(chart.Series[0].Points, plot.Point{X: at.Seconds, Y: float64(at.Inventory)})
		chart.Series[1].Points = append(chart.Series[1].Points, plot.Point{X: at.Seconds, Y: float64(at.Notification)})
	}
	f, err := os.Create(s.Options.SVG)
	if err != nil {
		return fmt.Errorf("--svg: %w", err)
	}
	if err := errors.Join(plot.Write(f, chart), f.Close()); err != nil {
		return fmt.Errorf("--svg %s: %w", s.Options.SVG, err)
	}
	s.Event("drawn", a{"file": s.Options.SVG})
	return nil
}
