package broker

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/broker/internal/config"
	"millrace/broker/internal/loglevel"
	"millrace/broker/internal/txn"
	"millrace/broker/internal/txncoordinator"
)

func txnConfig(s *config.Broker) txncoordinator.Config {
	ms := func(n int32) time.Duration { return time.Duration(n) * time.Millisecond }
	c := txncoordinator.DefaultConfig()
	c.Txn.MaxTimeout = ms(s.TransactionMaxTimeoutMs)
	c.Txn.IDExpiration = ms(s.TransactionalIDExpirationMs)
	c.ExpirationCheckInterval = ms(s.TransactionIDCheckMs)
	return c
}

// txnEvents counts and logs what happens to transactions.
type txnEvents struct {
	log      *slog.Logger
	events   *prometheus.CounterVec
	duration prometheus.Histogram
	writes   prometheus.Histogram
}

func (b *Broker) txnEvents() txncoordinator.Events {
	e := &txnEvents{
		log: b.levels.Logger(loglevel.Transactions),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_broker_transaction_events_total", Help: "What happened to transactional ids, by kind."}, []string{"event"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_broker_transaction_duration_seconds", Help: "From the first partition of a transaction until all have their markers.", Buckets: prometheus.ExponentialBuckets(.001, 4, 10)}),
		writes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_broker_transaction_write_duration_seconds", Help: "Time until a batch of transaction records is on disk.", Buckets: fsyncBuckets}),
	}
	for kind := txn.Initialized; kind <= txn.Expired; kind++ { // to be seen before the first of them
		e.events.WithLabelValues(kind.String())
	}
	b.registry.MustRegister(e.events, e.duration, e.writes)
	return e
}

// Transaction implements txncoordinator.Events.
func (t *txnEvents) Transaction(id string, e txn.Event) {
	t.events.WithLabelValues(e.Kind.String()).Inc()
	level := slog.LevelDebug
	switch e.Kind {
	case txn.Committed, txn.Aborted:
		t.duration.Observe(e.Took.Seconds())
	case txn.TimedOut:
		level = slog.LevelInfo
	case txn.MarkerDropped:
		level = slog.LevelWarn
	}
	t.log.Log(context.Background(), level, "transaction", "transactional_id", id, "event", e.Kind.String(), "producer_id", e.Producer.ID,
		"producer_epoch", e.Producer.Epoch, "partitions", e.Count, "reason", e.Reason)
}

// Loaded implements txncoordinator.Events.
func (t *txnEvents) Loaded(l txncoordinator.Load) {
	switch {
	case l.Err != nil:
		t.log.Error("transactions cannot be loaded", "partition", l.Partition, "error", l.Err)
	case l.Records > 0:
		t.log.Info("transactions loaded", "partition", l.Partition, "ids", l.IDs, "decided", l.Decided, "records", l.Records, "unknown", l.Unknown, "took", l.Took)
	}
}

// Wrote implements txncoordinator.Events.
func (t *txnEvents) Wrote(partition int32, _, _ int, took time.Duration, err error) {
	if err != nil {
		t.log.Error("transaction records cannot be written", "partition", partition, "error", err)
		return
	}
	t.writes.Observe(took.Seconds())
}

// txnCollector counts the transactional ids at the time of a scrape.
type txnCollector struct {
	txns *txncoordinator.Coordinator
}

var txnIDs = prometheus.NewDesc("millrace_broker_transactional_ids", "Transactional ids by the state that they are in.", []string{"state"}, nil)

// Describe implements prometheus.Collector.
func (txnCollector) Describe(c chan<- *prometheus.Desc) { c <- txnIDs }

// Collect implements prometheus.Collector.
func (t txnCollector) Collect(c chan<- prometheus.Metric) {
	counts := t.txns.Stats()
	for state := txn.Empty; state <= txn.CompleteAbort; state++ {
		c <- prometheus.MustNewConstMetric(txnIDs, prometheus.GaugeValue, float64(counts[state]), state.String())
	}
}
