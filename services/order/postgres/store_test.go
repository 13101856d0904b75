package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"millrace/pkg/events"
	"millrace/pkg/messaging/outbox"
	"millrace/pkg/postgres/postgrestest"
	"millrace/services/order"
	"millrace/services/order/postgres"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

func newStore(t *testing.T) (*postgres.Store, *pgxpool.Pool) {
	t.Helper()
	pool := postgrestest.New(t, postgres.Migrations()...)
	return postgres.NewStore(pool, outbox.NewWriter(nil), nil, time.Now), pool
}

// place stores an order of two items.
func place(t *testing.T, s *postgres.Store, customer string) order.Order {
	t.Helper()
	return placeWith(t, s, customer, order.Key{})
}

func placeWith(t *testing.T, s *postgres.Store, customer string, key order.Key) order.Order {
	t.Helper()
	o, err := s.Insert(t.Context(), newOrder(t, s, customer), key)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func newOrder(t *testing.T, s *postgres.Store, customer string) order.Order {
	t.Helper()
	catalogue, err := s.Catalogue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	o, err := order.Place(uuid.Must(uuid.NewV7()).String(), order.Request{
		CustomerID: customer, Lines: []order.Line{{ProductID: "kettle", Quantity: 1}, {ProductID: "coffee-beans", Quantity: 2}},
	}, catalogue, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func count(t *testing.T, pool *pgxpool.Pool, query string, args ...any) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestStore_InsertedOrderComesBackAsItWas(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	placed := newOrder(t, s, "customer_123")
	placed.TraceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	if _, err := s.Insert(t.Context(), placed, order.Key{}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Order(t.Context(), placed.ID)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got.CreatedAt.UTC(), got.UpdatedAt.UTC(), got.Items, got.Total, got.Status, got.CustomerID, got.TraceID) !=
		fmt.Sprint(placed.CreatedAt, placed.UpdatedAt, placed.Items, placed.Total, placed.Status, placed.CustomerID, placed.TraceID) {
		t.Errorf("got  %+v\nwant %+v", got, placed)
	}
	// The event is there too, and says the same.
	var key, payload []byte
	var topic string
	if err := pool.QueryRow(t.Context(), `SELECT topic, key, payload FROM outbox`).Scan(&topic, &key, &payload); err != nil {
		t.Fatal(err)
	}
	e, err := events.Decode(payload)
	if err != nil {
		t.Fatal(err)
	}
	created, _ := e.(events.OrderCreated)
	if topic != events.TopicOrders || string(key) != placed.ID || created.OrderID != placed.ID || created.Total != placed.Total || len(created.Items) != 2 {
		t.Errorf("topic %s, key %s, event %+v", topic, key, created)
	}
}

// An order, its items and its event are there together or not at all.
func TestStore_InsertIsAllOrNothing(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	o := newOrder(t, s, "customer_123")
	if _, err := pool.Exec(t.Context(), `ALTER TABLE order_items ADD CHECK (product_id <> 'coffee-beans')`); err != nil {
		t.Fatal(err)
	}
	key := order.Key{Value: "k"}
	if _, err := s.Insert(t.Context(), o, key); err == nil {
		t.Fatal("stored an order whose items cannot be stored")
	}
	for _, table := range []string{"orders", "order_items", "outbox", "idempotency_keys"} {
		if n := count(t, pool, `SELECT count(*) FROM `+table); n != 0 {
			t.Errorf("%d rows left in %s", n, table)
		}
	}
}

func TestStore_OrderNotFound(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	for _, id := range []string{uuid.NewString(), "no-uuid", "", "urn:uuid:" + uuid.NewString(), "{" + uuid.NewString() + "}", "a\x00b", "'; DROP TABLE orders --"} {
		if _, err := s.Order(t.Context(), id); !errors.Is(err, order.ErrNotFound) {
			t.Errorf("order %q: %v", id, err)
		}
	}
}

func TestStore_ListIsNewestFirstInPages(t *testing.T) {
	t.Parallel()
	s, _ := newStore(t)
	var placed []order.Order
	for i := range 7 {
		placed = append(placed, place(t, s, fmt.Sprint("customer_", i%2)))
	}
	if _, err := s.Decide(t.Context(), events.GroupOrder, "m-1", order.Outcome{OrderID: placed[3].ID, Status: order.Confirmed}); err != nil {
		t.Fatal(err)
	}
	list := func(f order.Filter) (got []int) {
		orders, err := s.List(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range orders {
			for i := range placed {
				if placed[i].ID == o.ID {
					got = append(got, i)
				}
			}
			if len(o.Items) != 2 || o.Items[0].ProductID != "kettle" {
				t.Errorf("items %v", o.Items)
			}
		}
		return got
	}
	for _, c := range []struct {
		filter order.Filter
		want   []int
	}{
		{order.Filter{Limit: 10}, []int{6, 5, 4, 3, 2, 1, 0}},
		{order.Filter{Limit: 3}, []int{6, 5, 4}},
		{order.Filter{Limit: 3, Before: placed[4].ID}, []int{3, 2, 1}},
		{order.Filter{Limit: 3, CustomerID: "customer_1"}, []int{5, 3, 1}},
		{order.Filter{Limit: 3, Status: order.Confirmed}, []int{3}},
		{order.Filter{Limit: 3, Status: order.Pending, CustomerID: "customer_1", Before: placed[5].ID}, []int{1}},
		{order.Filter{Limit: 3, Status: order.Rejected}, nil},
	} {
		if got := list(c.filter); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%+v: %v, want %v", c.filter, got, c.want)
		}
	}
}

func TestStore_KeyGivesTheFirstAnswerAgain(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	key := order.Key{Value: "k", Fingerprint: [32]byte{1}}
	first := placeWith(t, s, "customer_123", key)
	if _, err := s.Decide(t.Context(), events.GroupOrder, "m-1", order.Outcome{OrderID: first.ID, Status: order.Confirmed}); err != nil {
		t.Fatal(err)
	}
	again := placeWith(t, s, "customer_123", key)
	if again.ID != first.ID || again.Status != order.Pending || !again.UpdatedAt.Equal(first.UpdatedAt) {
		t.Errorf("first %+v, again %+v", first, again)
	}
	if _, err := s.Insert(t.Context(), newOrder(t, s, "customer_123"), order.Key{Value: "k", Fingerprint: [32]byte{2}}); !errors.Is(err, order.ErrKeyReused) {
		t.Errorf("another order under the key: %v", err)
	}
	if n := count(t, pool, `SELECT count(*) FROM orders`); n != 1 {
		t.Errorf("%d orders, want 1", n)
	}
	if n, err := s.ForgetKeys(t.Context(), -time.Second); n != 1 || err != nil {
		t.Errorf("forgot %d keys, %v", n, err)
	}
	if other := placeWith(t, s, "customer_123", key); other.ID == first.ID {
		t.Error("a forgotten key is remembered")
	}
}

// Many requests with one key at the same moment make one order, and all hear of it.
func TestStore_KeyHoldsUnderConcurrency(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	const requests = 16
	orders := make([]order.Order, requests)
	for i := range orders {
		orders[i] = newOrder(t, s, "customer_123")
	}
	var (
		wg  sync.WaitGroup
		ids sync.Map
	)
	for _, o := range orders {
		wg.Go(func() {
			placed, err := s.Insert(context.Background(), o, order.Key{Value: "k"})
			if err != nil {
				t.Error(err)
			}
			ids.Store(placed.ID, true)
		})
	}
	wg.Wait()
	distinct := 0
	ids.Range(func(any, any) bool { distinct++; return true })
	if n := count(t, pool, `SELECT count(*) FROM outbox`); distinct != 1 || n != 1 {
		t.Errorf("%d orders answered, %d events, want 1 and 1", distinct, n)
	}
}

func TestStore_Decide(t *testing.T) {
	t.Parallel()
	s, pool := newStore(t)
	o := place(t, s, "customer_123")
	decide := func(message string, outcome order.Outcome) (bool, error) {
		return s.Decide(t.Context(), events.GroupOrder, message, outcome)
	}
	at := o.CreatedAt.Add(time.Second)
	confirmed := order.Outcome{OrderID: o.ID, Status: order.Confirmed, At: at}
	rejected := order.Outcome{OrderID: o.ID, Status: order.Rejected, Reason: "INSUFFICIENT_STOCK kettle"}
	for _, step := range []struct {
		message string
		outcome order.Outcome
		changed bool
		err     error
	}{
		{"m-1", confirmed, true, nil},
		{"m-1", confirmed, false, nil},                   // a second delivery
		{"m-2", confirmed, false, nil},                   // the same outcome in another message
		{"m-3", rejected, false, order.ErrContradiction}, // never back
		{"m-4", order.Outcome{OrderID: uuid.NewString(), Status: order.Confirmed}, false, order.ErrNotFound},
		{"m-5", order.Outcome{OrderID: "not-ours", Status: order.Confirmed}, false, order.ErrNotFound},
	} {
		if changed, err := decide(step.message, step.outcome); changed != step.changed || !errors.Is(err, step.err) {
			t.Errorf("%s: changed %v, %v", step.message, changed, err)
		}
	}
	got, err := s.Order(t.Context(), o.ID)
	if err != nil || got.Status != order.Confirmed || got.Reason != "" || !got.UpdatedAt.Equal(at) {
		t.Errorf("%+v, %v", got, err)
	}
	// What failed is not marked as done: it can be redriven when the cause is gone.
	if n := count(t, pool, `SELECT count(*) FROM inbox`); n != 2 {
		t.Errorf("%d inbox rows, want those of m-1 and m-2", n)
	}
}

func BenchmarkStore_Insert(b *testing.B) {
	pool := postgrestest.New(b, postgres.Migrations()...)
	s := postgres.NewStore(pool, outbox.NewWriter(nil), nil, time.Now)
	catalogue, err := s.Catalogue(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			o, err := order.Place(uuid.Must(uuid.NewV7()).String(), order.Request{
				CustomerID: "customer_123", Lines: []order.Line{{ProductID: "kettle", Quantity: 1}, {ProductID: "coffee-beans", Quantity: 2}},
			}, catalogue, time.Now())
			if err != nil {
				b.Fatal(err)
			}
			if _, err := s.Insert(b.Context(), o, order.Key{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
