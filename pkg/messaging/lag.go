package messaging

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// lagCollector reports how far consumers are behind, out of what they know anyway: each
// fetch tells where a partition ends. So it works on any Kafka, without asking for it.
// A partition is reported while it is assigned, and by nobody else.
type lagCollector struct {
	records, seconds *prometheus.Desc

	// mu guards intakes.
	mu      sync.Mutex
	intakes map[*intake]bool
}

func newLagCollector() *lagCollector {
	return &lagCollector{
		records: prometheus.NewDesc("messaging_consumer_lag_records",
			"Records of an assigned partition that are not finished, as of the last fetch. In a retry topic this includes those that are not due yet.",
			[]string{"group", "topic", "partition"}, nil),
		seconds: prometheus.NewDesc("messaging_consumer_lag_seconds",
			"How long the oldest message in hand has waited, from its timestamp or from when it was due; 0: nothing is waiting.",
			[]string{"group", "topic"}, nil),
		intakes: make(map[*intake]bool),
	}
}

func (l *lagCollector) add(intakes ...*intake) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, in := range intakes {
		l.intakes[in] = true
	}
}

func (l *lagCollector) remove(intakes ...*intake) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, in := range intakes {
		delete(l.intakes, in)
	}
}

// Describe implements prometheus.Collector.
func (l *lagCollector) Describe(to chan<- *prometheus.Desc) {
	to <- l.records
	to <- l.seconds
}

// Collect implements prometheus.Collector.
func (l *lagCollector) Collect(to chan<- prometheus.Metric) {
	type place struct {
		group, topic string
		partition    int32
	}
	// Two consumers of one process may be members of the same group, as in tests; for a
	// moment both may have a partition.
	records, seconds := map[place]float64{}, map[place]float64{}
	l.mu.Lock()
	for in := range l.intakes {
		all := place{group: in.group, topic: in.topic}
		seconds[all] = max(seconds[all], 0)
		for partition, lag := range in.lags() {
			p := place{in.group, in.topic, partition}
			records[p] = max(records[p], float64(lag.records))
			seconds[all] = max(seconds[all], lag.age.Seconds())
		}
	}
	l.mu.Unlock()
	for p, value := range records {
		to <- prometheus.MustNewConstMetric(l.records, prometheus.GaugeValue, value, p.group, p.topic, strconv.Itoa(int(p.partition)))
	}
	for p, value := range seconds {
		to <- prometheus.MustNewConstMetric(l.seconds, prometheus.GaugeValue, value, p.group, p.topic)
	}
}

// lag is how far one partition is behind.
type lag struct {
	records int64
	age     time.Duration
}

// lags returns the lag of each partition that is assigned.
func (in *intake) lags() map[int32]lag {
	in.mu.Lock()
	defer in.mu.Unlock()
	lags := make(map[int32]lag, len(in.claims))
	for partition, c := range in.claims {
		position, _ := c.ledger.at()
		l := lag{records: max(0, c.highWater()-max(position, 0))}
		// Between two messages, the age is that of the last one. In a retry topic what is
		// left may not be due, so only the message in hand counts.
		if since := c.since.Load(); since > 0 && (c.busy.Load() || l.records > 0 && !in.isRetry()) {
			l.age = max(0, time.Since(time.Unix(0, since)))
		}
		lags[partition] = l
	}
	return lags
}
