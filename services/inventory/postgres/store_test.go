package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"millrace/pkg/events"
	"millrace/pkg/messaging/outbox"
	pgmigrate "millrace/pkg/postgres"
	"millrace/pkg/postgres/postgrestest"
	"millrace/services/inventory"
	"millrace/services/inventory/postgres"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

func newStore(t *testing.T) (*postgres.Store, *pgxpool.Pool) {
	t.Helper()
	pool := postgrestest.New(t, postgres.Migrations()...)
	return postgres.NewStore(pool, outbox.NewWriter(nil), nil, time.Now), pool
}

func newOrder(id string, items ...events.Item) events.OrderCreated {
	return events.OrderCreated{OrderID: id, CustomerID: "customer_123", Items: items, Total: 100, Timestamp: time.Now()}
}

func item(id string, n int64) events.Item { return events.Item{ProductID: id, Quantity: n} }

func count(t *testing.T, pool *pgxpool.Pool, query string, args ...any) (n int64) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func set(t *testing.T, s *postgres.Store, product string, available int64) {
	t.Helper()
	if _, _, err := s.SetAvailable(t.Context(), product, available); err != nil {
		t.Fatal(err)
	}
}

func stockOf(t *testing.T, s *postgres.Store, product string) inventory.Stock {
	t.Helper()
	stock, err := s.StockOf(t.Context(), product)
	if err != nil {
		t.Fatal(err)
	}
	return stock
}

func TestStore_ReservesAllOrNothing(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	set(t, s, "kettle", 5)
	set(t, s, "green-tea", 10)

	r, made, err := s.Reserve(t.Context(), events.GroupInventory, "m-1", newOrder("o-1", item("kettle", 2), item("green-tea", 3)))
	if err != nil || !made || r.Status() != inventory.Reserved {
		t.Fatalf("%+v, %v, %v", r, made, err)
	}
	r, made, err = s.Reserve(t.Context(), events.GroupInventory, "m-2", newOrder("o-2", item("kettle", 4), item("green-tea", 1)))
	if err != nil || !made || r.Refusal == nil || *r.Refusal != (inventory.Refusal{Reason: events.ReasonInsufficientStock, ProductID: "kettle", Wanted: 4, Available: 3}) {
		t.Fatalf("%+v, %v, %v", r, made, err)
	}
	if kettle, tea := stockOf(t, s, "kettle"), stockOf(t, s, "green-tea"); kettle != (inventory.Stock{ProductID: "kettle", Available: 3, Reserved: 2}) ||
		tea != (inventory.Stock{ProductID: "green-tea", Available: 7, Reserved: 3}) {
		t.Errorf("stock %+v %+v", kettle, tea)
	}
	for id, status := range map[string]inventory.Status{"o-1": inventory.Reserved, "o-2": inventory.Rejected} {
		got, err := s.Reservation(t.Context(), id)
		if err != nil || got.Status() != status || len(got.Lines) != 2 || got.CustomerID != "customer_123" {
			t.Errorf("%s: %+v, %v", id, got, err)
		}
	}
	// Each decision has its event, on the order's key.
	rows, err := pool.Query(t.Context(), `SELECT topic, convert_from(key, 'UTF8'), payload FROM outbox WHERE topic = 'inventory' ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var got []string
	for rows.Next() {
		var topic, key string
		var payload []byte
		if err := rows.Scan(&topic, &key, &payload); err != nil {
			t.Fatal(err)
		}
		e, err := events.Decode(payload)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, topic+" "+key+" "+string(e.Type()))
	}
	if want := []string{"inventory o-1 INVENTORY_RESERVED", "inventory o-2 INVENTORY_REJECTED"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

// Whatever comes twice has its effect once: the message, or the order in another message.
func TestStore_ReservesOnce(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	set(t, s, "kettle", 5)
	order := newOrder("o-1", item("kettle", 2))
	for i, message := range []string{"m-1", "m-1", "m-2", "m-2"} {
		_, made, err := s.Reserve(t.Context(), events.GroupInventory, message, order)
		if err != nil || made != (i == 0) {
			t.Errorf("delivery %d, of %s: made %v, %v", i, message, made, err)
		}
	}
	if stock := stockOf(t, s, "kettle"); stock.Available != 3 || stock.Reserved != 2 {
		t.Errorf("%+v", stock)
	}
	if events, inbox := count(t, pool, `SELECT count(*) FROM outbox`), count(t, pool, `SELECT count(*) FROM inbox`); events != 1 || inbox != 2 {
		t.Errorf("%d events, %d inbox rows, want 1 and 2", events, inbox)
	}
}

func TestStore_UnknownProductIsRefused(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	r, made, err := s.Reserve(t.Context(), events.GroupInventory, "m-1", newOrder("o-1", item("moon", 1), item("kettle", 1)))
	if err != nil || !made || r.Refusal == nil || r.Refusal.Reason != events.ReasonUnknownProduct {
		t.Errorf("%+v, %v, %v", r, made, err)
	}
	if stock := stockOf(t, s, "kettle"); stock.Reserved != 0 {
		t.Errorf("%+v", stock)
	}
}

// Many orders for little stock, at once, with products in every order, and with
// deliveries that come twice: stock is never negative, nothing is lost or reserved
// twice, and nobody waits for somebody who waits for him.
func TestStore_StockIsNeverNegative(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	products := []string{"coffee-beans", "green-tea", "kettle", "lotus-tea"}
	const each, orders, workers = 60, 300, 16
	for _, p := range products {
		set(t, s, p, each)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var (
		wg, watcher sync.WaitGroup
		next        atomic.Int64
		lowest      atomic.Int64
	)
	watcher.Go(func() { // what others see meanwhile
		for ctx.Err() == nil {
			stock, err := s.Stock(context.WithoutCancel(ctx))
			if err != nil {
				t.Error(err)
				return
			}
			for _, row := range stock {
				if row.Available < lowest.Load() {
					lowest.Store(row.Available)
				}
			}
		}
	})
	for range workers {
		wg.Go(func() {
			for {
				n := int(next.Add(1))
				if n > 2*orders {
					return
				}
				id := n % orders // each comes twice
				random := rand.New(rand.NewPCG(uint64(id), 1))
				var items []events.Item
				for _, p := range random.Perm(len(products))[:1+random.IntN(3)] {
					items = append(items, item(products[p], 1+random.Int64N(3)))
				}
				if _, _, err := s.Reserve(ctx, events.GroupInventory, fmt.Sprint("m-", id), newOrder(fmt.Sprint("o-", id), items...)); err != nil {
					t.Errorf("order %d: %v", id, err)
				}
			}
		})
	}
	wg.Wait()
	cancel()
	watcher.Wait()
	if lowest.Load() < 0 {
		t.Errorf("somebody saw a stock of %d", lowest.Load())
	}
	for _, p := range products {
		stock := stockOf(t, s, p)
		sold := count(t, pool, `SELECT coalesce(sum(quantity), 0) FROM reservation_items JOIN reservations USING (order_id)
			WHERE status = 'RESERVED' AND reservation_items.product_id = $1`, p)
		if stock.Available < 0 || stock.Available+stock.Reserved != each || stock.Reserved != sold {
			t.Errorf("%s: %+v, %d sold, %d at first", p, stock, sold, each)
		}
	}
	decided, refused := count(t, pool, `SELECT count(*) FROM reservations`), count(t, pool, `SELECT count(*) FROM reservations WHERE status = 'REJECTED'`)
	if told := count(t, pool, `SELECT count(*) FROM outbox WHERE topic = 'inventory'`); decided != orders || told != orders || refused == 0 || refused == orders {
		t.Errorf("%d orders decided, %d told of, %d refused; want %d, %d and some", decided, told, refused, orders, orders)
	}
}

// Even code that is wrong cannot make stock negative.
func TestStore_DatabaseRefusesNegativeStock(t *testing.T) {
	t.Parallel()
	_, pool := newStore(t)
	if _, err := pool.Exec(t.Context(), `UPDATE stock SET available = available - 1000000`); err == nil {
		t.Error("Postgres took a negative stock")
	}
}

// Restocking counts for whoever comes after it; what is reserved stays reserved.
func TestStore_SetAvailable(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	set(t, s, "kettle", 1)
	if r, _, err := s.Reserve(t.Context(), events.GroupInventory, "m-1", newOrder("o-1", item("kettle", 1))); err != nil || r.Refusal != nil {
		t.Fatal(r, err)
	}
	stock, created, err := s.SetAvailable(t.Context(), "kettle", 7)
	if err != nil || created || stock != (inventory.Stock{ProductID: "kettle", Available: 7, Reserved: 1}) {
		t.Errorf("%+v, created %v, %v", stock, created, err)
	}
	if _, created, err = s.SetAvailable(t.Context(), "new-thing", 0); err != nil || !created {
		t.Errorf("created %v, %v", created, err)
	}
	set(t, s, "kettle", 7) // is there already
	rows, err := pool.Query(t.Context(), `SELECT convert_from(key, 'UTF8'), payload FROM outbox WHERE topic = 'stock' ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	var (
		got     []string
		key     string
		payload []byte
	)
	if _, err := pgx.ForEachRow(rows, []any{&key, &payload}, func() error {
		e, err := events.Decode(payload)
		if err != nil {
			return err
		}
		a := e.(events.StockAdjusted)
		got = append(got, fmt.Sprint(key, " ", a.ProductID, " ", a.Sequence, " ", a.AvailableDelta, " ", a.Available))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	// From 5 of the catalogue to 1; one was reserved, so from 0 to 7; and a product that is there, with nothing.
	if want := []string{"kettle kettle 1 -4 1", "kettle kettle 2 7 7", "new-thing new-thing 1 0 0"}; !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// Sets at the same time are counted one after the other, and their deltas add up.
func TestStore_SetAvailableAtTheSameTime(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	const sets = 20
	var wg sync.WaitGroup
	for i := range sets {
		wg.Go(func() {
			if _, _, err := s.SetAvailable(t.Context(), "new-thing", int64(100+i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := count(t, pool, `SELECT count(DISTINCT convert_from(payload, 'UTF8')::json->>'sequence') FROM outbox`); n != sets {
		t.Errorf("%d numbers of %d sets", n, sets)
	}
	if sum, now := count(t, pool, `SELECT sum((convert_from(payload, 'UTF8')::json->>'available_delta')::bigint)::bigint FROM outbox`), stockOf(t, s, "new-thing").Available; sum != now {
		t.Errorf("the deltas are %d, the stock is %d", sum, now)
	}
}

// A database from before the event tells of what was set in it, once.
func TestMigrations_TellOfStockThatWasSetBefore(t *testing.T) {
	t.Parallel()
	all := postgres.Migrations()
	own := &all[len(all)-1]
	before := fstest.MapFS{}
	for _, name := range []string{"migrations/00001_stock.sql", "migrations/00002_seed.sql"} {
		text, err := fs.ReadFile(own.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		before[name] = &fstest.MapFile{Data: text}
	}
	later := own.FS
	own.FS = before
	pool := postgrestest.New(t, all...)
	if _, err := pool.Exec(t.Context(), `
		UPDATE stock SET available = 1, reserved = 4 WHERE product_id = 'kettle'; -- reservations alone
		UPDATE stock SET available = 1200, reserved = 30 WHERE product_id = 'coffee-beans'; -- 230 more
		INSERT INTO stock (product_id, available) VALUES ('new-thing', 7)`); err != nil {
		t.Fatal(err)
	}
	own.FS = later
	for range 2 {
		if err := pgmigrate.Migrate(t.Context(), pool, all...); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := pool.Query(t.Context(), `SELECT payload FROM outbox WHERE topic = 'stock' ORDER BY convert_from(key, 'UTF8')`)
	if err != nil {
		t.Fatal(err)
	}
	payloads, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil || len(payloads) != 2 {
		t.Fatalf("%q, %v", payloads, err)
	}
	for i, want := range []events.StockAdjusted{
		{ProductID: "coffee-beans", Sequence: 1, AvailableDelta: 230, Available: 1200},
		{ProductID: "new-thing", Sequence: 1, AvailableDelta: 7, Available: 7},
	} {
		e, err := events.Decode(payloads[i])
		got, _ := e.(events.StockAdjusted)
		want.Timestamp = got.Timestamp
		if err != nil || got != want || time.Since(got.Timestamp).Abs() > time.Hour {
			t.Errorf("%s: %+v, %v", payloads[i], got, err)
		}
	}
	if n := count(t, pool, `SELECT count(*) FROM stock WHERE adjustments = 1`); n != 2 {
		t.Errorf("%d products are said to be adjusted", n)
	}
}

func TestStore_NotFound(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	if _, err := s.Reservation(t.Context(), "o-1"); !errors.Is(err, inventory.ErrNoReservation) {
		t.Error(err)
	}
	if _, err := s.StockOf(t.Context(), "moon"); !errors.Is(err, inventory.ErrNoStock) {
		t.Error(err)
	}
}
