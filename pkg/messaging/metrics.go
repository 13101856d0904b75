package messaging

import (
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

type consumerMetrics struct {
	processed   *prometheus.CounterVec
	duration    *prometheus.HistogramVec
	queueTime   *prometheus.HistogramVec
	retries     *prometheus.CounterVec
	deadLetters *prometheus.CounterVec
	joined      *prometheus.GaugeVec
	partitions  *prometheus.GaugeVec
}

func newConsumerMetrics(r prometheus.Registerer) consumerMetrics {
	groupTopic := []string{"group", "topic"}
	return consumerMetrics{
		processed: metric.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "messaging_processed_messages_total",
			Help: "Messages processed, by outcome: ok, dead_letter, released (to be delivered again).",
		}, append(groupTopic, "outcome"))),
		duration: metric.Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "messaging_process_duration_seconds",
			Help:    "Time at work on a message, all tries and waits included.",
			Buckets: durations,
		}, groupTopic)),
		queueTime: metric.Register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "messaging_queue_time_seconds",
			Help:    "Time from a record's timestamp to its first try.",
			Buckets: durations,
		}, groupTopic)),
		retries: metric.Register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "messaging_retries_total",
			Help: "Tries after the first one.",
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
	}
}
