package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/pkg/messaging/outbox"
	"millrace/pkg/postgres"
	"millrace/pkg/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	code := postgrestest.Main(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

const patience = 60 * time.Second

// fakeBroker records what it gets, and fails as told.
type fakeBroker struct {
	mu       sync.Mutex
	messages []*message.Message
	batches  []int
	// fail returns which messages of a call are not taken.
	fail    func(topic string, messages []*message.Message) error
	arrived chan struct{}
}

func newBroker() *fakeBroker { return &fakeBroker{arrived: make(chan struct{}, 10000)} }

func (b *fakeBroker) Publish(topic string, messages ...*message.Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	if b.fail != nil {
		err = b.fail(topic, messages)
	}
	var partial *messaging.PublishError
	isPartial := errors.As(err, &partial)
	b.batches = append(b.batches, len(messages))
	for i, m := range messages {
		if err == nil || isPartial && partial.Failed[i] == nil {
			b.messages = append(b.messages, m)
		}
	}
	select {
	case b.arrived <- struct{}{}:
	default:
	}
	return err
}

func (b *fakeBroker) Close() error { return nil }

func (b *fakeBroker) setFail(fail func(string, []*message.Message) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = fail
}

func (b *fakeBroker) payloads() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, m := range b.messages {
		all = append(all, string(m.Payload))
	}
	return all
}

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain: ", what)
		}
	}
}

func start(t *testing.T, c outbox.RelayConfig) (r *outbox.Relay, stop func()) {
	t.Helper()
	r, err := outbox.NewRelay(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("relay ended with %v", err)
			}
		case <-time.After(patience):
			t.Error("relay does not end")
		}
	})
	t.Cleanup(stop)
	return r, stop
}

func add(t *testing.T, w *outbox.Writer, pool *pgxpool.Pool, payloads ...string) {
	t.Helper()
	err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		for _, p := range payloads {
			err := w.Add(t.Context(), tx, outbox.Message{Topic: "orders", Key: []byte("k"), Payload: []byte(p), Headers: map[string]string{"h": "v"}})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func pending(t *testing.T, pool *pgxpool.Pool) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM outbox WHERE published_at IS NULL`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRelay_PublishesWhatHasCommittedInOrder(t *testing.T) {
	t.Parallel()
	pool, broker, w := postgrestest.New(t, outbox.Migrations), newBroker(), outbox.NewWriter(nil)
	registry := prometheus.NewRegistry()
	add(t, w, pool, "a", "b")
	// The long poll interval shows that it is the notification that wakes the relay.
	r, stop := start(t, outbox.RelayConfig{Pool: pool, Publisher: broker, PollInterval: time.Hour, Registerer: registry})
	eventually(t, "what was there", func() bool { return len(broker.payloads()) == 2 })
	rolledBack := errors.New("rolled back")
	err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		return errors.Join(outbox.NewWriter(nil).Add(t.Context(), tx, outbox.Message{Topic: "orders", Payload: []byte("never")}), rolledBack)
	})
	if !errors.Is(err, rolledBack) {
		t.Fatal(err)
	}
	eventually(t, "all marked", func() bool { return pending(t, pool) == 0 })
	// Long enough for the relay to have fallen asleep; the Writer may notify again.
	eventually(t, "notified again", func() bool {
		add(t, w, pool, "c")
		return len(broker.payloads()) > 2
	})
	if err := r.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	stop()
	got := broker.payloads()
	if !slices.Equal(got[:3], []string{"a", "b", "c"}) || slices.Contains(got, "never") {
		t.Errorf("got %q", got)
	}
	m := broker.messages[0]
	if m.Metadata[messaging.MetadataKey] != "k" || m.Metadata["h"] != "v" || len(m.UUID) != 36 {
		t.Errorf("got %+v", m)
	}
	if n := testutil.ToFloat64(collector(t, registry, "outbox_published_messages_total")); n < 3 {
		t.Errorf("published metric is %v", n)
	}
	if r.Ready(t.Context()) == nil {
		t.Error("ready after the end")
	}
}

// collector finds a registered metric by registering its double.
func collector(t *testing.T, r *prometheus.Registry, name string) prometheus.Collector {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name})
			g.Set(f.GetMetric()[0].GetCounter().GetValue() + f.GetMetric()[0].GetGauge().GetValue())
			return g
		}
	}
	t.Fatal("no metric ", name)
	return nil
}

func TestRelay_SurvivesTheBrokersAbsence(t *testing.T) {
	t.Parallel()
	pool, broker, w := postgrestest.New(t, outbox.Migrations), newBroker(), outbox.NewWriter(nil)
	broker.setFail(func(string, []*message.Message) error { return errors.New("away") })
	r, _ := start(t, outbox.RelayConfig{Pool: pool, Publisher: broker})
	add(t, w, pool, "a", "b", "c")
	<-broker.arrived
	<-broker.arrived
	if n := pending(t, pool); n != 3 {
		t.Errorf("%d are pending, want 3", n)
	}
	if err := r.Ready(t.Context()); err != nil {
		t.Errorf("without the broker the relay is not ready: %v", err)
	}
	// The broker is back, but takes one of them only after another try.
	var once sync.Once
	broker.setFail(func(topic string, messages []*message.Message) (err error) {
		once.Do(func() {
			err = &messaging.PublishError{Topic: topic, Total: len(messages), Failed: map[int]error{1: errors.New("not this one")}}
		})
		return err
	})
	eventually(t, "all are marked", func() bool { return pending(t, pool) == 0 })
	if got := broker.payloads(); !slices.Equal(got, []string{"a", "c", "b"}) {
		t.Errorf("got %q, want each once", got)
	}
}

// Told to stop, the relay sends what is stored first; while the broker is away it does
// not wait for it.
func TestRelay_SendsWhatIsStoredBeforeItEnds(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]bool{"broker there": false, "broker away": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, broker, w := postgrestest.New(t, outbox.Migrations), newBroker(), outbox.NewWriter(nil)
			gate := make(chan struct{})
			broker.setFail(func(string, []*message.Message) error {
				broker.arrived <- struct{}{}
				<-gate
				if away {
					return errors.New("away")
				}
				return nil
			})
			add(t, w, pool, "a", "b", "c", "d", "e", "f", "g")
			r, err := outbox.NewRelay(outbox.RelayConfig{Pool: pool, Publisher: broker, BatchSize: 2})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- r.Run(ctx) }()
			<-broker.arrived // the first batch is under way
			stop()
			close(gate)
			if err := <-ended; err != nil {
				t.Error(err)
			}
			want := map[bool]int{false: 0, true: 7}[away]
			if n := pending(t, pool); n != want {
				t.Errorf("%d are pending, want %d", n, want)
			}
		})
	}
}

func TestRelay_SurvivesALostConnection(t *testing.T) {
	t.Parallel()
	pool, broker, w := postgrestest.New(t, outbox.Migrations), newBroker(), outbox.NewWriter(nil)
	start(t, outbox.RelayConfig{Pool: pool, Publisher: broker})
	for i := range 3 {
		add(t, w, pool, strconv.Itoa(i))
		eventually(t, "it arrives", func() bool { return len(broker.payloads()) == i+1 })
		eventually(t, "it is marked", func() bool { return pending(t, pool) == 0 })
		if _, err := pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d ON d.oid = database
			WHERE locktype = 'advisory' AND datname = current_database()`); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRelay_OneAtATime(t *testing.T) {
	t.Parallel()
	pool, w := postgrestest.New(t, outbox.Migrations), outbox.NewWriter(nil)
	brokers := []*fakeBroker{newBroker(), newBroker()}
	_, stop := start(t, outbox.RelayConfig{Pool: pool, Publisher: brokers[0], PollInterval: 20 * time.Millisecond})
	add(t, w, pool, "a")
	eventually(t, "the first one leads", func() bool { return len(brokers[0].payloads()) == 1 })
	second, _ := start(t, outbox.RelayConfig{Pool: pool, Publisher: brokers[1], PollInterval: 20 * time.Millisecond})
	eventually(t, "the second one stands by", func() bool { return second.Ready(t.Context()) == nil })
	add(t, w, pool, "b")
	eventually(t, "the leader works", func() bool { return len(brokers[0].payloads()) == 2 })
	stop()
	add(t, w, pool, "c")
	eventually(t, "the second one takes over", func() bool { return slices.Equal(brokers[1].payloads(), []string{"c"}) })
}

func TestRelay_SendsInBatches(t *testing.T) {
	t.Parallel()
	pool, broker, w := postgrestest.New(t, outbox.Migrations), newBroker(), outbox.NewWriter(nil)
	var want []string
	for i := range 250 {
		want = append(want, strconv.Itoa(i))
	}
	add(t, w, pool, want...)
	start(t, outbox.RelayConfig{Pool: pool, Publisher: broker, BatchSize: 100})
	eventually(t, "all marked", func() bool { return pending(t, pool) == 0 })
	if got := broker.payloads(); !slices.Equal(got, want) || !slices.Equal(broker.batches, []int{100, 100, 50}) {
		t.Errorf("batches %v", broker.batches)
	}
}

func TestRelay_DeletesWhatIsOld(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t, outbox.Migrations)
	if _, err := pool.Exec(t.Context(), `INSERT INTO outbox (message_id, topic, payload, published_at)
		SELECT g::text, 't', '', now() - g * interval '1 hour' FROM generate_series(0, 4) g`); err != nil {
		t.Fatal(err)
	}
	deleted, err := outbox.Cleanup(t.Context(), pool, 150*time.Minute)
	if err != nil || deleted != 2 {
		t.Errorf("deleted %d, %v", deleted, err)
	}
}

func TestWriter_RefusesWhatCannotBePublished(t *testing.T) {
	w, b := outbox.NewWriter(nil), &pgx.Batch{}
	if err := w.Queue(t.Context(), b, outbox.Message{Payload: []byte("x")}); err == nil {
		t.Error("a message without a topic was taken")
	}
	if err := w.Queue(t.Context(), b, outbox.Message{Topic: "t", Payload: make([]byte, outbox.MaxSize+1)}); !errors.Is(err, outbox.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if b.Len() != 0 {
		t.Error("something was queued")
	}
}

func TestWriter_StoresTheContextOfItsCreateSpan(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t, outbox.Migrations)
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	ctx, request := provider.Tracer("test").Start(t.Context(), "POST /orders")
	w := outbox.NewWriter(provider)
	m, err := outbox.EventMessage(events.OrderCreated{OrderID: "o1", CustomerID: "c", Items: []events.Item{{ProductID: "p", Quantity: 1}}, Timestamp: time.Unix(0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	err = postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		if err := w.Queue(ctx, b, m); err != nil {
			return err
		}
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	request.End()
	create := recorder.Ended()[0]
	if create.Name() != "create orders" || create.SpanKind() != trace.SpanKindProducer || create.Parent().SpanID() != request.SpanContext().SpanID() {
		t.Errorf("got %s, %s, child of %s", create.Name(), create.SpanKind(), create.Parent().SpanID())
	}
	set := attribute.NewSet(create.Attributes()...)
	for key, want := range map[attribute.Key]string{
		"messaging.system": "kafka", "messaging.operation.name": "create", "messaging.operation.type": "create",
		"messaging.destination.name": "orders", "messaging.kafka.message.key": "o1",
	} {
		if got, _ := set.Value(key); got.AsString() != want {
			t.Errorf("%s is %q, want %q", key, got.AsString(), want)
		}
	}
	var traceparent, eventType string
	if err := pool.QueryRow(ctx, `SELECT headers->>'traceparent', headers->>'event_type' FROM outbox`).Scan(&traceparent, &eventType); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(traceparent, create.SpanContext().SpanID().String()) || eventType != "ORDER_CREATED" {
		t.Errorf("stored %q, %q", traceparent, eventType)
	}
}

func BenchmarkRelay(b *testing.B) {
	pool, broker, w := postgrestest.New(b, outbox.Migrations), newBroker(), outbox.NewWriter(nil)
	r, err := outbox.NewRelay(outbox.RelayConfig{Pool: pool, Publisher: broker})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
				return w.Add(ctx, tx, outbox.Message{Topic: "orders", Key: []byte("k"), Payload: []byte(`{"a":1}`)})
			}); err != nil {
				b.Error(err)
			}
		}
	})
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for len(broker.payloads()) < b.N {
		<-tick.C
	}
	b.StopTimer()
	cancel()
	if err := <-done; err != nil {
		b.Error(err)
	}
}
