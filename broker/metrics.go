package broker

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"millrace/broker/internal/coordinator"
	"millrace/broker/internal/group"
	"millrace/broker/internal/loglevel"
	"millrace/broker/internal/replica"
	"millrace/broker/internal/vfs"
)

// registerMetrics adds what is read only when somebody asks.
func (b *Broker) registerMetrics() {
	gauge := func(name, help string, f func() float64) {
		b.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	b.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		logCollector{b.replicas},
		cleanerCollector{b.dir.CleanerStats},
		txnCollector{b.txns},
		groupCollector{groups: b.groups, replicas: b.replicas, now: time.Now, series: groupSeries, bytes: groupAgeBytes},
	)
	gauge("millrace_broker_connections", "Open connections.", func() float64 { return float64(b.server.Connections()) })
	gauge("millrace_broker_queued_request_bytes", "Bytes of requests in memory.", func() float64 { return float64(b.server.QueuedBytes()) })
	gauge("millrace_broker_topics", "Topics.", func() float64 { return float64(b.cluster.Image().TopicCount()) })
	gauge("millrace_broker_partitions", "Partitions of all topics.", func() float64 { return float64(b.cluster.Image().PartitionCount()) })
	gauge("millrace_broker_offline", "1 when the data folder has failed.", func() float64 {
		if b.dir.Err() != nil {
			return 1
		}
		return 0
	})
}

// logCollector tells of each open log at the time of a scrape.
type logCollector struct{ replicas *replica.Manager }

var (
	logLabels    = []string{"topic", "partition"}
	logSize      = prometheus.NewDesc("millrace_broker_log_size_bytes", "Size of a partition's log.", logLabels, nil)
	logSegments  = prometheus.NewDesc("millrace_broker_log_segments", "Segments of a partition's log.", logLabels, nil)
	logStart     = prometheus.NewDesc("millrace_broker_log_start_offset", "First offset of a partition.", logLabels, nil)
	logEnd       = prometheus.NewDesc("millrace_broker_log_end_offset", "Offset of a partition's next record.", logLabels, nil)
	logWatermark = prometheus.NewDesc("millrace_broker_high_watermark", "Offset below which a partition may be read.", logLabels, nil)
	logStable    = prometheus.NewDesc("millrace_broker_last_stable_offset", "Offset below which every transaction of a partition is decided.", logLabels, nil)
)

// Describe implements prometheus.Collector.
func (logCollector) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{logSize, logSegments, logStart, logEnd, logWatermark, logStable} {
		c <- d
	}
}

// Collect implements prometheus.Collector.
func (l logCollector) Collect(c chan<- prometheus.Metric) {
	l.replicas.Open(func(p *replica.Partition) {
		labels := []string{p.Name.Topic, itoa(p.Name.Index)}
		send := func(d *prometheus.Desc, v float64) {
			c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
		}
		send(logSize, float64(p.Log().Size()))
		send(logSegments, float64(p.Log().Segments()))
		send(logStart, float64(p.StartOffset()))
		send(logEnd, float64(p.EndOffset()))
		send(logWatermark, float64(p.HighWatermark()))
		send(logStable, float64(p.LastStableOffset()))
	})
}

// groupEvents counts and logs what happens to consumer groups.
type groupEvents struct {
	log      *slog.Logger
	events   *prometheus.CounterVec
	writes   prometheus.Histogram
	requests prometheus.Histogram
}

func (b *Broker) groupEvents() coordinator.Events {
	e := &groupEvents{
		log: b.levels.Logger(loglevel.Groups),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_broker_group_events_total", Help: "What happened to consumer groups, by kind."}, []string{"event"}),
		writes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_broker_group_write_duration_seconds", Help: "Time until a batch of group records is on disk.", Buckets: fsyncBuckets}),
		requests: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_broker_group_write_requests", Help: "Requests whose group records went to disk together.", Buckets: prometheus.ExponentialBuckets(1, 2, 10)}),
	}
	b.registry.MustRegister(e.events, e.writes, e.requests)
	return e
}

// Group implements coordinator.Events.
func (g *groupEvents) Group(id string, e group.Event) {
	g.events.WithLabelValues(e.Kind.String()).Inc()
	if e.Kind == group.OffsetsCommitted {
		return
	}
	g.log.Debug("consumer group", "group", id, "event", e.Kind.String(), "generation", e.Generation, "member", e.Member, "reason", e.Reason, "count", e.Count)
}

// Loaded implements coordinator.Events.
func (g *groupEvents) Loaded(l coordinator.Load) {
	switch {
	case l.Err != nil:
		g.log.Error("groups cannot be loaded", "partition", l.Partition, "error", l.Err)
	case l.Records > 0:
		g.log.Info("groups loaded", "partition", l.Partition, "groups", l.Groups, "offsets", l.Offsets, "records", l.Records, "unknown", l.Unknown, "took", l.Took)
	}
}

// Wrote implements coordinator.Events.
func (g *groupEvents) Wrote(partition int32, _, requests int, took time.Duration, err error) {
	if err != nil {
		g.log.Log(context.Background(), slog.LevelError, "group records cannot be written", "partition", partition, "error", err)
		return
	}
	g.writes.Observe(took.Seconds())
	g.requests.Observe(float64(requests))
}

var fsyncBuckets = []float64{.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 5}

// timed measures every sync of a file in fsys.
func (b *Broker) timed(fsys vfs.FS) vfs.FS {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "millrace_broker_fsync_duration_seconds", Help: "Time that the disk took to sync a file.", Buckets: fsyncBuckets})
	size := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "millrace_broker_fsync_bytes", Help: "Bytes written to a file between two syncs of it.", Buckets: prometheus.ExponentialBuckets(256, 4, 10)})
	b.registry.MustRegister(h, size)
	return &timedFS{fsys, h, size}
}
