package wrongways

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/pkg/service/servicetest"
	"millrace/pkg/wrongway"
)

// What comes between the commit and the event costs the event: the order is there and nobody hears of it.
func TestDualWriteLosesTheEvent(t *testing.T) {
	t.Run("the service fails after the commit", func(t *testing.T) {
		t.Parallel()
		bothWays(t, wrongway.DualWrite, func(s *shop, way string, wrong bool) {
			t := s.t
			order := s.order(orderDatabase(t).Config().ConnString(), way, "order.after-commit=error,times=1")
			order.Ready()
			if status, _ := place(t, order); status == http.StatusCreated {
				t.Fatal("the order whose answer is to be lost is answered")
			}
			status, second := place(t, order)
			if status != http.StatusCreated {
				t.Fatalf("the next order is answered %d", status)
			}
			checkEvents(t, s, order, wrong, second)
		})
	})
	t.Run("the broker is away", func(t *testing.T) {
		t.Parallel()
		bothWays(t, wrongway.DualWrite, func(s *shop, way string, wrong bool) {
			t := s.t
			order := s.order(orderDatabase(t).Config().ConnString(), way, "")
			order.Ready()
			s.broker.Stop()
			if status, _ := place(t, order); status != http.StatusCreated {
				t.Fatalf("an order without the broker is answered %d", status)
			}
			s.broker.Restart()
			order.Ready()
			status, second := place(t, order)
			if status != http.StatusCreated {
				t.Fatalf("the next order is answered %d", status)
			}
			checkEvents(t, s, order, wrong, second)
		})
	})
}

// checkEvents checks that both of two orders are there, and that the event of the first one is not, if wrong.
func checkEvents(t *testing.T, s *shop, order *servicetest.Running, wrong bool, second string) {
	t.Helper()
	want := 2
	if wrong {
		want = 1
	}
	records := s.records(events.TopicOrders, want)
	if !slices.ContainsFunc(records, func(r *kgo.Record) bool { return string(r.Key) == second }) {
		t.Errorf("no event of the second order among %d", len(records))
	}
	if n := s.ends(events.TopicOrders); n != int64(want) {
		t.Errorf("%d events of 2 orders, want %d", n, want)
	}
	if n := metric(order, `millrace_orders_total{status="PENDING"}`); n == 0 {
		t.Error("no order is counted")
	}
	if pending := metric(order, "outbox_pending_messages"); wrong && pending != 0 {
		t.Errorf("%v rows wait in the outbox", pending)
	}
}

// A transaction that commits later than one that began after it is passed by the cursor, and stays behind for ever.
func TestCursorOutboxForgetsTheLateCommit(t *testing.T) {
	bothWays(t, wrongway.CursorOutbox, func(s *shop, way string, wrong bool) {
		t := s.t
		pool := orderDatabase(t)
		order := s.order(pool.Config().ConnString(), way, "")
		order.Ready()
		store := func(tx interface {
			Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
		}, key string) {
			t.Helper()
			if _, err := tx.Exec(t.Context(), `INSERT INTO outbox (message_id, topic, key, payload) VALUES ($1, 'orders', $2, '{}')`, key, []byte(key)); err != nil {
				t.Fatal(err)
			}
		}
		published := func(key string) bool {
			var yes bool
			err := pool.QueryRow(t.Context(), `SELECT published_at IS NOT NULL FROM outbox WHERE message_id = $1`, key).Scan(&yes)
			return err == nil && yes
		}
		slow, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = slow.Rollback(context.Background()) }()
		store(slow, "began-first")
		store(pool, "committed-first")
		eventually(t, order, "the row that is committed is published", func() bool { return published("committed-first") })
		if err := slow.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		store(pool, "last")
		eventually(t, order, "the row after both is published", func() bool { return published("last") })
		if !wrong {
			eventually(t, order, "the late commit is published", func() bool { return published("began-first") })
			return
		}
		if published("began-first") {
			t.Error("the late commit is published")
		}
		eventually(t, order, "it is seen to wait", func() bool {
			return metric(order, "outbox_pending_messages") == 1 && metric(order, "outbox_oldest_age_seconds") > 0
		})
		// A restart does not help, the right way does.
		if err := order.Stop(); err != nil {
			t.Fatal(err)
		}
		again := s.order(pool.Config().ConnString(), way, "")
		again.Ready()
		store(pool, "after-restart")
		eventually(t, again, "the row after the restart is published", func() bool { return published("after-restart") })
		if published("began-first") {
			t.Error("a restart publishes the late commit")
		}
		if err := again.Stop(); err != nil {
			t.Fatal(err)
		}
		mended := s.order(pool.Config().ConnString(), right, "")
		eventually(t, mended, "the right relay publishes it", func() bool { return published("began-first") })
	})
}

// The same in the shop: while the transaction about one order waits before its commit, another one passes.
func TestCursorOutboxForgetsTheSlowOrder(t *testing.T) {
	bothWays(t, wrongway.CursorOutbox, func(s *shop, way string, wrong bool) {
		t := s.t
		inventory := s.inventory(inventoryDatabase(t).Config().ConnString(), way, "effect.before-commit=hang,match.order_id=slow")
		inventory.Ready()
		s.publish("slow", 0)
		eventually(t, inventory, "the slow order is in hand", func() bool { return strings.Contains(inventory.Logs.String(), "fault injected") })
		s.publish("quick", 1)
		s.records(events.TopicInventory, 1)
		if status, body := inventory.Do(http.MethodDelete, "/admin/faults", ""); status/100 != 2 {
			t.Fatalf("%d %s", status, body)
		}
		eventually(t, inventory, "the slow order is decided on", func() bool { return reserved(inventory, "slow") })
		s.publish("last", 1)
		want := []string{"last", "quick", "slow"}
		if wrong {
			want = want[:2]
		}
		var keys []string
		for _, r := range s.records(events.TopicInventory, len(want)) {
			keys = append(keys, string(r.Key))
		}
		if slices.Sort(keys); !slices.Equal(keys, want) {
			t.Errorf("the orders whose outcome was told are %v, want %v", keys, want)
		}
		if n := s.ends(events.TopicInventory); n != int64(len(want)) {
			t.Errorf("%d outcomes were told, want %d", n, len(want))
		}
	})
}

// Without a key the events of one order lie in several partitions, and a later one is done before an earlier one.
func TestNoKeyLosesTheOrder(t *testing.T) {
	bothWays(t, wrongway.NoKey, func(s *shop, way string, wrong bool) {
		t := s.t
		const count = 24
		pool := orderDatabase(t)
		order := s.order(pool.Config().ConnString(), way, "")
		order.Ready()
		batch := &pgx.Batch{}
		for i := range count {
			batch.Queue(`INSERT INTO outbox (message_id, topic, key, payload) VALUES ($1, 'orders', 'one-order', $2)`,
				"event-"+strconv.Itoa(i), []byte(strconv.Itoa(i)))
		}
		if err := pool.SendBatch(t.Context(), batch).Close(); err != nil {
			t.Fatal(err)
		}
		partitions := map[int32]bool{}
		for _, r := range s.records(events.TopicOrders, count) {
			partitions[r.Partition] = true
			if got := r.Key == nil; got != wrong {
				t.Errorf("a record's key is %q", r.Key)
			}
		}
		if got := len(partitions) > 1; got != wrong {
			t.Errorf("the events lie in %d partitions", len(partitions))
		}
		done := handled(t, s, count)
		if got := !slices.IsSorted(done); got != wrong {
			t.Errorf("the events were done in the order %v", done)
		}
	})
}

// handled reads all of the events with one consumer, for which the first event takes long, and returns their order.
func handled(t *testing.T, s *shop, count int) []int {
	t.Helper()
	const long = 500 * time.Millisecond
	publisher, err := messaging.NewPublisher(s.kafka, messaging.PublisherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer publisher.Close()
	consumer, err := messaging.NewConsumer(messaging.ConsumerConfig{Kafka: s.kafka, Group: "readers", DeadLetters: publisher})
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu    sync.Mutex
		done  []int
		all   = make(chan struct{})
		other = make(chan struct{}, count)
	)
	consumer.Handle(events.TopicOrders, func(_ context.Context, d *messaging.Delivery) error {
		n, err := strconv.Atoi(string(d.Payload))
		if err != nil {
			return messaging.Permanent(err)
		}
		if n == 0 {
			select { // another one is done meanwhile, if anything allows it
			case <-other:
			case <-time.After(long):
			}
		} else {
			other <- struct{}{}
		}
		mu.Lock()
		defer mu.Unlock()
		if done = append(done, n); len(done) == count {
			close(all)
		}
		return nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- consumer.Run(ctx) }()
	select {
	case <-all:
	case <-time.After(time.Minute):
		t.Error("the events are not all read")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(done)
}
