package orderrun

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"millrace/internal/shopclient"
	"millrace/pkg/postgres"
)

// Config says what to place and where the shop is.
type Config struct {
	Orders int
	Seed   uint64

	OrderURL, InventoryURL, MailURL                 string
	OrderDatabase, InventoryDatabase, MailsDatabase string
	Kafka                                           Kafka
	// MailTable counts mails in the table of those that were sent. The mail box keeps
	// the latest ones only, so it cannot tell of very many orders.
	MailTable bool

	// Progress is told what is going on.
	Progress func(format string, args ...any)
	// Placed, where it is set, is told after each accepted order how many there are. It
	// is called from several goroutines, and the one that waits for it places nothing.
	Placed func(n int)
}

// Result is the outcome of a run. Its JSON form is stable.
type Result struct {
	Orders     int     `json:"orders"`
	Confirmed  int     `json:"confirmed"`
	Rejected   int     `json:"rejected"`
	Emails     int     `json:"emails"`
	Lost       int     `json:"lost"`
	Duplicates int     `json:"duplicates"`
	ReadyMS    int64   `json:"ready_ms"`
	RSSMB      float64 `json:"rss_mb"`
	OrdersPerS float64 `json:"orders_per_s"`

	// Findings are the lost and the duplicates in words.
	Findings []string `json:"-"`
	// MailsTwice is how many of the duplicates are mails.
	MailsTwice int `json:"-"`
	// Redelivered counts records that stand in a topic more than once.
	Redelivered int `json:"-"`
	// Example is the id of a confirmed order.
	Example string `json:"-"`
}

// Good reports whether every order ended and nothing was lost or done twice.
func (r Result) Good() bool {
	return r.Lost == 0 && r.Duplicates == 0 && r.Confirmed+r.Rejected == r.Orders
}

// Limits of a run.
const (
	placers     = 32               // requests at a time
	stallsAfter = 90 * time.Second // without any progress the run gives up and judges what there is
)

type run struct {
	Config
	id        string
	plan      plan
	orders    *shopclient.Client
	inventory *shopclient.Client
	mail      *shopclient.Client
	db        *databases

	ids     []string // of placed orders, in the order of the plan
	before  map[string]shopclient.Stock
	changed bool // the stock was set for the run
}

func newRun(c Config, id string) *run {
	return &run{
		Config: c, id: id,
		orders: shopclient.New(c.OrderURL), inventory: shopclient.New(c.InventoryURL), mail: shopclient.New(c.MailURL),
	}
}

func (r *run) close() {
	r.orders.Close()
	r.inventory.Close()
	r.mail.Close()
}

// Run places the orders and judges the outcome. It returns an error only when
// it could not come to a judgement.
func Run(ctx context.Context, c Config) (Result, error) {
	r := newRun(c, strings.ToLower(rand.Text()[:8]))
	defer r.close()
	var err error
	if r.db, err = openDatabases(ctx, c); err != nil {
		return Result{}, err
	}
	defer r.db.close()

	if err := r.prepare(ctx); err != nil {
		return Result{}, err
	}
	began := time.Now()
	if err := r.place(ctx); err != nil {
		return Result{}, errors.Join(err, r.restoreStock(context.WithoutCancel(ctx)))
	}
	took, err := r.waitUntilDone(ctx, began)
	if err != nil {
		return Result{}, errors.Join(err, r.restoreStock(context.WithoutCancel(ctx)))
	}
	r.Progress("Reading the databases, the topics and the mail box")
	result, err := r.judge(ctx)
	result.OrdersPerS = math.Round(10*float64(r.Config.Orders)/took.Seconds()) / 10
	return result, errors.Join(err, r.restoreStock(ctx))
}

// prepare makes the plan and the stock that it needs.
func (r *run) prepare(ctx context.Context) error {
	catalogue, err := r.orders.Products(ctx)
	if err != nil {
		return fmt.Errorf("products: %w", err)
	}
	if r.plan, err = makePlan(r.Config.Orders, r.Seed, r.id, catalogue.Products); err != nil {
		return err
	}
	// Orders of an earlier run that was broken off would take from the stock.
	if err := r.settle(ctx); err != nil {
		return err
	}
	if err := again(ctx, func() error {
		r.before, err = r.inventory.StockByProduct(ctx)
		return err
	}); err != nil {
		return fmt.Errorf("stock: %w", err)
	}
	r.changed = true
	for product, demand := range r.plan.demand {
		if err := r.setStock(ctx, product, r.before[product].Available+demand); err != nil {
			return err
		}
	}
	return r.setStock(ctx, r.plan.scarce, r.plan.stock)
}

// setStock says what can be reserved of a product; to say it twice is no harm.
func (r *run) setStock(ctx context.Context, product string, available int64) error {
	err := again(ctx, func() error { return r.inventory.SetStock(ctx, product, available) })
	if err != nil {
		return fmt.Errorf("set stock: %w", err)
	}
	return nil
}

// settle waits until no order of anybody is pending, or until that changes no more.
func (r *run) settle(ctx context.Context) error {
	const patience = 10 * time.Second
	return r.poll(ctx, patience, func(ctx context.Context) (string, bool, error) {
		pending, err := r.db.pending(ctx, "")
		return fmt.Sprintf("Waiting for %d orders of an earlier run", pending), pending == 0, err
	})
}

// restoreStock gives the scarce product what it had before.
func (r *run) restoreStock(ctx context.Context) error {
	if !r.changed {
		return nil
	}
	r.changed = false
	return r.setStock(ctx, r.plan.scarce, r.before[r.plan.scarce].Available)
}

// place sends all orders, each until it is accepted: the idempotency key makes
// a repeated request harmless.
func (r *run) place(ctx context.Context) error {
	r.ids = make([]string, len(r.plan.orders))
	var placed atomic.Int64
	next := make(chan int)
	group, ctx := errgroup.WithContext(ctx)
	for range min(placers, len(r.plan.orders)) {
		group.Go(func() error {
			for i := range next {
				id, err := r.placeOne(ctx, i)
				if err != nil {
					return fmt.Errorf("order %d: %w", i, err)
				}
				r.ids[i] = id
				n := placed.Add(1)
				if r.Placed != nil {
					r.Placed(int(n))
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(next)
		for i := range r.plan.orders {
			select {
			case next <- i:
			case <-ctx.Done():
				return nil
			}
		}
		return nil
	})
	stop := r.report(func() string { return fmt.Sprintf("Placing orders: %d of %d", placed.Load(), len(r.plan.orders)) })
	defer stop()
	return group.Wait()
}

func (r *run) placeOne(ctx context.Context, i int) (id string, err error) {
	key := fmt.Sprintf("run-%s-%d", r.id, i)
	err = again(ctx, func() error {
		o, err := r.orders.PlaceOrder(ctx, r.plan.orders[i], key)
		id = o.ID
		return err
	})
	return id, err
}

// again repeats a request that may be repeated while the service is away.
func again(ctx context.Context, request func() error) error {
	const firstWait, maxWait = 20 * time.Millisecond, 500 * time.Millisecond
	began := time.Now()
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		err := request()
		if err == nil || !worthAnotherTry(err) || time.Since(began) > stallsAfter {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// worthAnotherTry reports whether the service was away rather than the order wrong.
func worthAnotherTry(err error) bool {
	var unreachable *shopclient.UnreachableError
	var problem *shopclient.Problem
	return errors.As(err, &unreachable) || errors.As(err, &problem) && problem.Status >= http.StatusInternalServerError
}

// waitUntilDone waits until every order has its outcome and its mails, and
// answers how long that took from began.
func (r *run) waitUntilDone(ctx context.Context, began time.Time) (time.Duration, error) {
	var done time.Time
	err := r.poll(ctx, stallsAfter, func(ctx context.Context) (string, bool, error) {
		done = time.Now()
		pending, err := r.db.pending(ctx, r.id)
		if err != nil || pending > 0 {
			return fmt.Sprintf("Waiting: %d of %d orders have no outcome yet", pending, len(r.ids)), false, err
		}
		mails, err := r.db.mails(ctx, r.ids)
		return fmt.Sprintf("Waiting: %d of %d mails are sent", mails, 2*len(r.ids)), mails >= 2*len(r.ids), err
	})
	return done.Sub(began), err
}

// poll looks again and again until it is done, or until what it says has not
// changed for as long as patience lasts.
func (r *run) poll(ctx context.Context, patience time.Duration, look func(context.Context) (state string, done bool, err error)) error {
	const pollEvery, tellAfter = 50 * time.Millisecond, time.Second
	var last string
	var told time.Time
	changed := time.Now()
	for {
		state, done, err := look(ctx)
		switch {
		case postgres.IsTransient(err):
			state = "Waiting for the database"
		case err != nil || done:
			return err
		}
		if state != last {
			last, changed = state, time.Now()
		}
		if time.Since(changed) > patience {
			return nil
		}
		if time.Since(told) > tellAfter {
			told = time.Now()
			r.Progress("%s", state)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}

// report tells the state once a second until it is stopped.
func (r *run) report(state func() string) (stop func()) {
	const tellEvery = time.Second
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(tellEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				r.Progress("%s", state())
			case <-ended:
				return
			}
		}
	})
	return func() {
		close(ended)
		wg.Wait()
	}
}
