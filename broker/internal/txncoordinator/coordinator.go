package txncoordinator

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"millrace/broker/internal/statelog"
	"millrace/broker/internal/txn"
)

// Config holds the settings of a coordinator.
type Config struct {
	Txn txn.Config
	// ExpirationCheckInterval (transaction.remove.expired.transaction.cleanup.interval.ms) is
	// how often ids are looked through for those that nobody uses.
	ExpirationCheckInterval time.Duration
}

// DefaultConfig returns Kafka's defaults.
func DefaultConfig() Config {
	return Config{Txn: txn.DefaultConfig(), ExpirationCheckInterval: time.Hour}
}

// Markers writes the markers that end transactions.
type Markers interface {
	// WriteMarkers writes a transaction's markers and returns when they are durable, or
	// cannot be: a result for each partition. coordinator is the partition of
	// __transaction_state that keeps the transaction.
	WriteMarkers(ctx context.Context, coordinator int32, m txn.SendMarkers) []txn.MarkerResult
}

// IDs gives out producer ids.
type IDs interface {
	// NextProducerID returns one that was never given out before.
	NextProducerID(ctx context.Context) (int64, error)
}

// Events hears of what happens, for logs and metrics. Methods return quickly and do
// not call the coordinator.
type Events interface {
	statelog.Events
	// Transaction tells what happened to a transactional id.
	Transaction(id string, e txn.Event)
	// Loaded tells that a partition has been read, or why it could not be: then its ids
	// cannot be served until the broker starts again.
	Loaded(l Load)
}

// Load is the result of reading a partition.
type Load struct {
	Partition int32
	Records   int // read; most are superseded by later ones
	Unknown   int // of versions that this broker does not know; left alone
	IDs       int // found
	Decided   int // of them decided and not complete: their markers are sent again
	Took      time.Duration
	Err       error
}

// NoEvents ignores everything.
type NoEvents struct{}

// Transaction implements Events.
func (NoEvents) Transaction(string, txn.Event) {}

// Loaded implements Events.
func (NoEvents) Loaded(Load) {}

// Wrote implements Events.
func (NoEvents) Wrote(int32, int, int, time.Duration, error) {}

// Coordinator serves all transactional ids of this broker. It is safe for concurrent use.
type Coordinator struct {
	cfg     Config
	markers Markers
	ids     IDs
	events  Events
	rt      *statelog.Runtime[*txn.Transaction, txn.Input]
}

// entry is one transactional id and who waits for it.
type entry = statelog.Entry[*txn.Transaction, txn.Input]

// Start returns a coordinator that is loading its ids. events may be nil.
func Start(cfg Config, log statelog.Log, markers Markers, ids IDs, events Events) *Coordinator {
	if events == nil {
		events = NoEvents{}
	}
	c := &Coordinator{cfg: cfg, markers: markers, ids: ids, events: events}
	c.rt = statelog.New(rules{c}, log, events)
	c.rt.Load()
	c.rt.Spawn(c.watchExpiration)
	return c
}

// Close stops the coordinator. Requests that wait are answered with
// COORDINATOR_NOT_AVAILABLE. It may be called more than once.
func (c *Coordinator) Close() error { return c.rt.Close() }

// Ensure makes the internal topic if it does not exist.
func (c *Coordinator) Ensure(ctx context.Context) *kerr.Error { return c.rt.Ensure(ctx) }

// Partition returns the partition of __transaction_state that keeps an id, -1 without the topic.
func (c *Coordinator) Partition(id string) int32 { return c.rt.Partition(id) }

// watchExpiration forgets unused ids from time to time.
func (c *Coordinator) watchExpiration() {
	t := time.NewTicker(c.cfg.ExpirationCheckInterval)
	defer t.Stop()
	for {
		select {
		case <-c.rt.Context().Done():
			return
		case <-t.C:
			_ = c.rt.Each(func(e *entry) { e.Step(txn.Expire{}) })
		}
	}
}
