package messaging

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/pkg/internal/metric"
)

// durations are buckets from a millisecond to half a minute.
var durations = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

type publisherMetrics struct {
	sent     *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newPublisherMetrics(r prometheus.Registerer) publisherMetrics {
	return publisherMetrics{
		sent: metric.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "messaging_sent_messages_total",
			Help: "Messages handed to the broker, by topic and whether it acknowledged them.",
		}, []string{"topic", "outcome"})),
		duration: metric.Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "messaging_send_duration_seconds",
			Help:    "Time from handing a batch to the broker to its last acknowledgement.",
			Buckets: durations,
		}, []string{"topic"})),
	}
}

// attempts are buckets for the tries of a message.
var attempts = []float64{0, 1, 2, 3, 6, 9, 15, 30}

type consumerMetrics struct {
	processed   *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	tries       *prometheus.HistogramVec
	attempts    *prometheus.HistogramVec
	queueTime   *prometheus.HistogramVec
	retries     *prometheus.CounterVec
	outages     *prometheus.CounterVec
	deadLetters *prometheus.CounterVec
	joined      *prometheus.GaugeVec
	partitions  *prometheus.GaugeVec
	lag         *lagCollector
}

// observe counts what has come of a message.
func (m *consumerMetrics) observe(h *inHand, started time.Time) {
	group, topic := h.delivery.Group, h.intake.topic
	m.processed.WithLabelValues(group, topic, h.outcome).Inc()
	m.duration.WithLabelValues(group, topic).Observe(time.Since(started).Seconds())
	if h.outcome == outcomeOK || h.outcome == outcomeDeadLetter {
		m.attempts.WithLabelValues(group, topic, h.outcome).Observe(float64(h.delivery.Attempt))
	}
	if !h.since.IsZero() && h.outcome != outcomePostponed {
		m.queueTime.WithLabelValues(group, topic).Observe(started.Sub(h.since).Seconds())
	}
}

// tried counts one call of the handler.
func (m *consumerMetrics) tried(h *inHand, started time.Time, err error) {
	outcome := outcomeOK
	if err != nil {
		outcome = "error"
	}
	m.tries.WithLabelValues(h.delivery.Group, h.intake.topic, outcome).Observe(time.Since(started).Seconds())
}

func newConsumerMetrics(r prometheus.Registerer) consumerMetrics {
	groupTopic := []string{"group", "topic"}
	return consumerMetrics{
		processed: metric.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "messaging_processed_messages_total",
			Help: "Messages processed, by outcome: ok, delayed (put off to the retry topic), parked (behind another of its key), dead_letter, released (to be delivered again), postponed (not due yet), discarded (given up by people).",
		}, append(groupTopic, "outcome"))),
		duration: metric.Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "messaging_process_duration_seconds",
			Help:    "Time at work on a message, all tries and waits included.",
			Buckets: durations,
		}, groupTopic)),
		queueTime: metric.Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "messaging_queue_time_seconds",
			Help:    "Time from a record's timestamp, or from when it was due, to its first try.",
			Buckets: durations,
		}, groupTopic)),
		tries: metric.Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "messaging_try_duration_seconds",
			Help:    "Time of one call of the handler, by outcome: ok, error.",
			Buckets: durations,
		}, append(groupTopic, "outcome"))),
		attempts: metric.Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "messaging_process_attempts",
			Help:    "Tries that a message has had at its end, by outcome: ok, dead_letter.",
			Buckets: attempts,
		}, append(groupTopic, "outcome"))),
		retries: metric.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "messaging_retries_total",
			Help: "Tries in process after the first one.",
		}, groupTopic)),
		outages: metric.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "messaging_outage_tries_total",
			Help: "Tries that failed because what every message needs was away; they do not count as the message's.",
		}, groupTopic)),
		deadLetters: metric.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "messaging_dead_letters_total",
			Help: "Messages sent to the dead letter topic, by error class.",
		}, append(groupTopic, "class"))),
		joined: metric.Register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "messaging_group_joined",
			Help: "1 while this instance is a member of its group, for a topic.",
		}, groupTopic)),
		partitions: metric.Register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "messaging_assigned_partitions",
			Help: "Partitions that the group has assigned to this instance.",
		}, groupTopic)),
		lag: metric.Register(r, newLagCollector()),
	}
}
