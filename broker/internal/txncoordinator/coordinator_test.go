package txncoordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/goleak"

	"millrace/broker/internal/statelog"
	"millrace/broker/internal/txn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is what a coordinator needs: __transaction_state, markers and producer ids, in memory. What was
// appended survives a crash.
type world struct {
	mu      sync.Mutex
	created bool
	disk    map[int32][]statelog.Record
	markers []string
	refuse  txn.MarkerOutcome // what partitions say to markers
	nextID  int64
	noIDs   error
	fail    error         // of appends
	reading chan struct{} // reads wait for it, unless nil
}

func newWorld() *world { return &world{disk: map[int32][]statelog.Record{}} }

func (w *world) Topic() (id [16]byte, partitions int32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.created {
		return id, 0
	}
	return id, 3
}

func (w *world) Create(context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.created = true
	return nil
}

func (w *world) Append(_ context.Context, partition int32, batches []statelog.Batch) []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	errs := make([]error, len(batches))
	for i, b := range batches {
		if errs[i] = w.fail; w.fail == nil {
			w.disk[partition] = append(w.disk[partition], b.Records...)
		}
	}
	return errs
}

func (w *world) Read(ctx context.Context, partition int32, f func(statelog.Batch) error) error {
	w.mu.Lock()
	records, wait := slices.Clone(w.disk[partition]), w.reading
	w.mu.Unlock()
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return f(statelog.Batch{Records: records})
}

func (w *world) WriteMarkers(_ context.Context, _ int32, m txn.SendMarkers) []txn.MarkerResult {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []txn.MarkerResult
	for _, tp := range m.Partitions {
		w.markers = append(w.markers, fmt.Sprintf("%s %d@%d commit=%t", tp, m.Producer.ID, m.Producer.Epoch, m.Commit))
		out = append(out, txn.MarkerResult{TopicPartition: tp, Outcome: w.refuse})
	}
	return out
}

func (w *world) NextProducerID(context.Context) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nextID++
	return w.nextID, w.noIDs
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *world) start(t *testing.T) *Coordinator {
	t.Helper()
	c := Start(DefaultConfig(), w, w, w, nil)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func initialize(c *Coordinator, id string) (txn.Producer, *kerr.Error) {
	r := c.InitProducer(context.Background(), id, txn.InitProducer{Timeout: time.Minute})
	return r.Producer, r.Err
}

func add(c *Coordinator, id string, p txn.Producer) *kerr.Error {
	return c.AddPartitions(context.Background(), id, txn.AddPartitions{Producer: p, Version: 2, Partitions: []txn.TopicPartition{{Topic: "orders"}}})
}

func TestCoordinator_WithoutTopicThereAreNoIDs(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.start(t)
	if err := add(c, "shop", txn.Producer{}); err != kerr.NotCoordinator {
		t.Errorf("add: %v", err)
	}
	if _, err := c.Describe("shop"); err != kerr.NotCoordinator {
		t.Errorf("describe: %v", err)
	}
	if ids, err := c.List(); len(ids) != 0 || err != nil {
		t.Errorf("list: %v, %v", ids, err)
	}
	if _, n := w.Topic(); n != 0 {
		t.Error("the topic was made for a question")
	}
	if _, err := initialize(c, ""); err != kerr.InvalidRequest {
		t.Errorf("empty id: %v", err)
	}
	if p, err := initialize(c, "shop"); err != nil || p != (txn.Producer{ID: 1}) {
		t.Errorf("init: %v, %v", p, err)
	}
	if _, err := c.Describe("another"); err != kerr.TransactionalIDNotFound {
		t.Errorf("describe: %v", err)
	}
	// Questions leave nothing in memory.
	for i := range 50 {
		_ = add(c, fmt.Sprint("x", i), txn.Producer{})
	}
	if n, waiting := c.rt.Held(); n != 1 || waiting != 0 {
		t.Errorf("%d ids and %d requests in memory", n, waiting)
	}
}

// Killed after the decision: the next coordinator sends the markers, and the producer goes on.
func TestCoordinator_CompletesWhatIsDecided(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.refuse = txn.MarkerRetry
		c := w.start(t)
		p, err := initialize(c, "shop")
		if err != nil {
			t.Fatal(err)
		}
		if err := add(c, "shop", p); err != nil {
			t.Fatal(err)
		}
		r := c.EndTxn(context.Background(), "shop", txn.EndTxn{Producer: p, Commit: true, Version: 2})
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		if err := add(c, "shop", r.Producer); err != kerr.ConcurrentTransactions {
			t.Errorf("while the markers are on their way: %v", err)
		}
		_ = c.Close()

		w.set(func() { w.markers, w.refuse = nil, txn.MarkerWritten })
		c = w.start(t)
		synctest.Wait()
		if want := []string{"orders/0 1@1 commit=true"}; !slices.Equal(w.markers, want) {
			t.Errorf("markers %v, want %v", w.markers, want)
		}
		m, err := c.Describe("shop")
		if err != nil || m.State != txn.CompleteCommit {
			t.Errorf("%v, %v", m.State, err)
		}
		if err := add(c, "shop", r.Producer); err != nil {
			t.Errorf("the next transaction: %v", err)
		}
	})
}

// Markers that cannot be written are tried again, with growing waits.
func TestCoordinator_RetriesMarkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.refuse = txn.MarkerRetry
		c := w.start(t)
		p, _ := initialize(c, "shop")
		_ = add(c, "shop", p)
		c.EndTxn(context.Background(), "shop", txn.EndTxn{Producer: p, Version: 2})
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(w.markers); n < 300 || n > 500 {
			t.Errorf("%d tries in an hour", n)
		}
		w.set(func() { w.refuse = txn.MarkerWritten })
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if m, _ := c.Describe("shop"); m.State != txn.CompleteAbort {
			t.Errorf("%v", m.State)
		}
	})
}

// A producer that falls silent is aborted on time.
func TestCoordinator_TimesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		c := w.start(t)
		p, _ := initialize(c, "shop")
		_ = add(c, "shop", p)
		time.Sleep(time.Minute - time.Millisecond)
		synctest.Wait()
		if m, _ := c.Describe("shop"); m.State != txn.Ongoing {
			t.Errorf("%v before its time", m.State)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if m, _ := c.Describe("shop"); m.State != txn.CompleteAbort || m.Epoch != 1 {
			t.Errorf("%v epoch %d", m.State, m.Epoch)
		}
		time.Sleep(8 * 24 * time.Hour)
		synctest.Wait()
		if _, err := c.Describe("shop"); err != kerr.TransactionalIDNotFound {
			t.Errorf("after its expiration: %v", err)
		}
	})
}

// What is not loaded is not "no such id".
func TestCoordinator_WhileLoading(t *testing.T) {
	t.Parallel()
	w := newWorld()
	first := w.start(t)
	p, err := initialize(first, "shop")
	if err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	loaded := make(chan struct{})
	w.set(func() { w.reading = loaded })
	c := w.start(t)
	if _, err := initialize(c, "shop"); err != kerr.CoordinatorLoadInProgress {
		t.Errorf("init: %v", err)
	}
	if err := add(c, "shop", p); err != kerr.CoordinatorLoadInProgress {
		t.Errorf("add: %v", err)
	}
	if _, err := c.Describe("shop"); err != kerr.CoordinatorLoadInProgress {
		t.Errorf("describe: %v", err)
	}
	if _, err := c.List(); err != kerr.CoordinatorLoadInProgress {
		t.Errorf("list: %v", err)
	}
	close(loaded)
	for add(c, "shop", p) == kerr.CoordinatorLoadInProgress {
		time.Sleep(time.Millisecond) // until it is there
	}
	if m, err := c.Describe("shop"); err != nil || m.State != txn.Ongoing {
		t.Errorf("%v, %v", m.State, err)
	}
}

// Nothing is given out that is not on disk, nor without a producer id.
func TestCoordinator_Fails(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.start(t)
	w.set(func() { w.fail = kerr.KafkaStorageError })
	if _, err := initialize(c, "shop"); err != kerr.NotCoordinator {
		t.Errorf("disk: %v", err)
	}
	w.set(func() { w.fail, w.noIDs = nil, errors.New("no more") })
	if _, err := initialize(c, "shop"); err != kerr.CoordinatorNotAvailable {
		t.Errorf("no ids: %v", err)
	}
	if n, _ := c.rt.Held(); n != 0 {
		t.Errorf("%d ids are known", n)
	}
	w.set(func() { w.noIDs = nil })
	if _, err := initialize(c, "shop"); err != nil {
		t.Error(err)
	}
	_ = c.Close()
	if _, err := initialize(c, "shop"); err != kerr.CoordinatorNotAvailable {
		t.Errorf("closed: %v", err)
	}
}

// Many clients of few ids at once: no request is lost, and each id has one producer at a time.
func TestCoordinator_Stress(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := w.start(t)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			id := fmt.Sprint("id", i%4)
			for range 50 {
				p, err := initialize(c, id)
				if err != nil {
					continue
				}
				if err := add(c, id, p); err != nil {
					continue
				}
				c.EndTxn(context.Background(), id, txn.EndTxn{Producer: p, Commit: i%2 == 0, Version: 2})
				_, _ = c.List()
			}
		})
	}
	wg.Wait()
	if n, waiting := c.rt.Held(); n != 4 || waiting != 0 {
		t.Errorf("%d ids, %d requests wait", n, waiting)
	}
}
