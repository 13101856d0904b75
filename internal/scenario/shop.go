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
)

// ShopNeeds says what a private shop has to be.
type ShopNeeds struct {
	Instances map[string]int
}

// Shop is a private shop to play on, and to break.
type Shop struct {
	*shop.Shop

	Broker *Broker // its broker, for clients and the administrator
	Orders *shopclient.Client
	Stock  *shopclient.Client
	Mail   *shopclient.Client

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
	e.say(said, nil)
	data, err := e.temp("shop")
	if err != nil {
		return nil, err
	}
	up, err := shop.Up(ctx, shop.Config{
		Data: data, Quiet: true, Instances: needs.Instances, Restart: supervise.OnFailure, OtherPorts: true,
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
	s := &Shop{Shop: up, Orders: shopclient.New(at.OrderURL), Stock: shopclient.New(at.InventoryURL), Mail: shopclient.New(at.MailURL)}
	e.atEnd(func(context.Context) error {
		s.Orders.Close()
		s.Stock.Close()
		s.Mail.Close()
		return nil
	})
	e.say("shop_ready", nil)
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
