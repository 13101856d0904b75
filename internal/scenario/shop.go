package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"millrace/internal/orderrun"
	"millrace/internal/shop"
	"millrace/internal/shopclient"
	"millrace/internal/supervise"
	"millrace/internal/terminal"
	"millrace/pkg/fault"
)

// ShopNeeds says what a private shop has to be.
type ShopNeeds struct {
	Instances map[string]int
	WrongWay  string            // what its services do wrong on purpose, as in shop.Config; empty: nothing
	Faults    map[string]string // fault rules that a part has from the start, in their text form
	Quietly   bool              // another shop of the same play was already told of
}

// Shop is a private shop to play on, and to break.
type Shop struct {
	*shop.Shop

	Broker *Broker // its broker, for clients and the administrator
	Orders *shopclient.Client
	Stock  *shopclient.Client
	Mail   *shopclient.Client
	Data   string // its folder

	env    *Env
	placed atomic.Int64 // makes idempotency keys unique
}

// Shop starts a private shop in a temporary folder and waits until it is ready.
func (e *Env) Shop(ctx context.Context, needs ShopNeeds) (*Shop, error) {
	if len(e.config.Brokers) > 0 {
		return nil, errors.New("this scenario needs a shop of its own, which it may break: leave --brokers away")
	}
	_, runs, err := e.Running()
	if err != nil {
		return nil, err
	}
	said := "private_shop"
	if runs {
		said = "private_shop_beside"
	}
	if !needs.Quietly {
		e.say(said, nil)
	}
	data, err := e.temp("shop" + strconv.FormatInt(e.shops.Add(1), 10))
	if err != nil {
		return nil, err
	}
	var wrong []string
	if needs.WrongWay != "" {
		wrong = append(wrong, needs.WrongWay)
	}
	up, err := shop.Up(ctx, shop.Config{
		Data: data, Quiet: true, Instances: needs.Instances, Restart: supervise.OnFailure, OtherPorts: true,
		WrongWays: wrong, Faults: true, FaultRules: needs.Faults,
		Executable: e.config.Executable, Invocation: "millrace", Environ: e.partEnviron(), Out: terminal.Plain(io.Discard),
	})
	if err != nil {
		return nil, fmt.Errorf("start a private shop: %w", err)
	}
	e.atEnd(func(ctx context.Context) error {
		up.Down(ctx, e.config.Hurry)
		return nil
	})
	at := up.Addresses()
	s := &Shop{Shop: up, env: e, Data: data, Orders: shopclient.New(at.OrderURL), Stock: shopclient.New(at.InventoryURL), Mail: shopclient.New(at.MailURL)}
	e.atEnd(func(context.Context) error {
		s.Orders.Close()
		s.Stock.Close()
		s.Mail.Close()
		return nil
	})
	if !needs.Quietly {
		e.say("shop_ready", nil)
	}
	s.Broker = &Broker{Addrs: at.Brokers, Private: true, MinSession: kafkaMinSession, env: e}
	return s, s.Broker.connect()
}

// placers is how many requests are under way at a time.
const placers = 8

// Place places n orders by POST /orders and returns their ids, numbered as order is asked for them.
func (s *Shop) Place(ctx context.Context, n int, order func(i int) shopclient.NewOrder) ([]string, error) {
	ids := make([]string, n)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(placers)
	for i := range n {
		key := "scenario-" + strconv.FormatInt(s.placed.Add(1), 10)
		group.Go(func() error {
			o, err := s.Orders.PlaceOrder(ctx, order(i), key)
			if err != nil {
				return fmt.Errorf("place order %d: %w", i, err)
			}
			ids[i] = o.ID
			return nil
		})
	}
	return ids, group.Wait()
}

// at is a client of a part's HTTP interface.
func (s *Shop) at(part string) (*shopclient.Client, error) {
	info, err := s.Part(part)
	if err != nil {
		return nil, err
	}
	return shopclient.New(info.URL), nil
}

// SetFault sets a rule in a part, in the text form: POINT=KIND,….
func (s *Shop) SetFault(ctx context.Context, part, rule string) error {
	r, err := fault.ParseRule(rule)
	if err != nil {
		return err
	}
	client, err := s.at(part)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := client.SetFault(ctx, r); err != nil {
		return fmt.Errorf("set a fault in %s: %w", part, err)
	}
	return nil
}

// ClearFaults takes all rules of a part away.
func (s *Shop) ClearFaults(ctx context.Context, part string) error {
	client, err := s.at(part)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.ClearFaults(ctx, ""); err != nil {
		return fmt.Errorf("clear the faults of %s: %w", part, err)
	}
	return nil
}

// Fired is how often the rule at a point has fired since it was set.
func (s *Shop) Fired(ctx context.Context, part string, point fault.Point) (int64, error) {
	client, err := s.at(part)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	points, err := client.Faults(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask for the faults of %s: %w", part, err)
	}
	for _, p := range points {
		if p.Point == point {
			return p.Fired, nil
		}
	}
	return 0, fmt.Errorf("%s has no fault point %s", part, point)
}

// Environ is the environment that the shop's parts began with.
func (s *Shop) Environ() []string { return s.env.partEnviron() }

// Plenty sets so much stock of every product that no order is refused.
func (s *Shop) Plenty(ctx context.Context) error {
	const plenty = 100_000_000
	stock, err := s.Stock.StockByProduct(ctx)
	if err != nil {
		return fmt.Errorf("stock: %w", err)
	}
	for product := range stock {
		if err := s.Stock.SetStock(ctx, product, plenty); err != nil {
			return fmt.Errorf("set stock: %w", err)
		}
	}
	return nil
}

// audit says where the shop keeps what an audit reads.
func (s *Shop) audit() orderrun.Config {
	at := s.Addresses()
	return orderrun.Config{
		OrderURL: at.OrderURL, InventoryURL: at.InventoryURL, MailURL: at.MailURL,
		OrderDatabase: at.Databases[shop.Order], InventoryDatabase: at.Databases[shop.Inventory], MailsDatabase: at.Databases[shop.Notification],
		Kafka: orderrun.Kafka{Brokers: at.Brokers}, Progress: func(string, ...any) {},
	}
}

// AwaitDone waits until each of the orders has its outcome and both its mails.
func (s *Shop) AwaitDone(ctx context.Context, ids []string) error {
	return orderrun.AwaitDone(ctx, s.audit(), ids)
}

// Audit judges all orders of the shop by what is stored: lost, done twice.
func (s *Shop) Audit(ctx context.Context, ids []string) (orderrun.Result, error) {
	return orderrun.Audit(ctx, s.audit(), ids)
}

// AuditByTables is Audit without a look into the mail box, which keeps the latest
// mails only: the table of sent mails stands for it.
func (s *Shop) AuditByTables(ctx context.Context, ids []string) (orderrun.Result, error) {
	c := s.audit()
	c.MailTable = true
	return orderrun.Audit(ctx, c, ids)
}
