package outbox

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/pkg/internal/metric"
)

type relayMetrics struct {
	pending   prometheus.Gauge
	oldest    *age
	published prometheus.Counter
	failures  prometheus.Counter
	leader    prometheus.Gauge
}

func newRelayMetrics(r prometheus.Registerer) *relayMetrics {
	m := &relayMetrics{
		pending: metric.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "outbox_pending_messages",
			Help: "Stored messages that the broker has not acknowledged yet, as the leader counted them last.",
		})),
		published: metric.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "outbox_published_messages_total",
			Help: "Stored messages that the broker has acknowledged.",
		})),
		failures: metric.Register(r, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "outbox_publish_failures_total",
			Help: "Rounds in which the broker did not take all messages.",
		})),
		leader: metric.Register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "outbox_leader",
			Help: "1 while this instance's relay publishes, 0 while it stands by.",
		})),
		oldest: &age{},
	}
	metric.Register(r, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "outbox_oldest_age_seconds",
		Help: "Age of the oldest message that the broker has not acknowledged yet.",
	}, m.oldest.seconds))
	return m
}

// age is how long ago a moment was, at the time of asking.
type age struct{ since atomic.Pointer[time.Time] }

func (a *age) set(since *time.Time) { a.since.Store(since) }

func (a *age) seconds() float64 {
	if since := a.since.Load(); since != nil {
		return time.Since(*since).Seconds()
	}
	return 0
}
