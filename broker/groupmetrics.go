package broker

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"millrace/broker/internal/coordinator"
	"millrace/broker/internal/group"
	"millrace/broker/internal/record"
	"millrace/broker/internal/replica"
)

// groupCollector tells at the time of a scrape how far each consumer group is, by the names and labels that
// danielqsj/kafka_exporter has made common, so that dashboards and rules made for that work here, and ours
// on Apache Kafka with it. The lag in seconds is our own: only a broker can say when a record came.
type groupCollector struct {
	groups   *coordinator.Coordinator
	replicas *replica.Manager
	now      func() time.Time

	series int   // bounds the partitions of groups that are told of
	bytes  int64 // bounds what is read for ages
}

const (
	groupSeries   = 10_000
	groupAgeBytes = 16 << 20
	// groupScrape bounds a scrape: a group that is loading does not hold it up.
	groupScrape = 5 * time.Second
)

var (
	groupLabels  = []string{"consumergroup", "topic", "partition"}
	groupMembers = prometheus.NewDesc("kafka_consumergroup_members", "Members of a consumer group.", groupLabels[:1], nil)
	groupOffset  = prometheus.NewDesc("kafka_consumergroup_current_offset", "Offset that a group has committed for a partition.", groupLabels, nil)
	groupLag     = prometheus.NewDesc("kafka_consumergroup_lag", "Records of a partition behind the group's committed offset.", groupLabels, nil)
	groupLagTime = prometheus.NewDesc("kafka_consumergroup_lag_seconds", "Age of the oldest record of a partition that the group has not committed, 0 when it has all.", groupLabels, nil)
	groupLeftOut = prometheus.NewDesc("millrace_broker_group_series_left_out", "Partitions of consumer groups that this scrape does not tell of, because there are too many.", nil, nil)
)

// Describe implements prometheus.Collector.
func (groupCollector) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{groupMembers, groupOffset, groupLag, groupLagTime, groupLeftOut} {
		c <- d
	}
}

// Collect implements prometheus.Collector. Groups that are not loaded yet are left out.
func (g groupCollector) Collect(c chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), groupScrape)
	defer cancel()
	told, leftOut := 0, 0
	toRead := g.bytes
	listed, _ := g.groups.List() // with an error, some are still loading
	for _, l := range listed {
		if told >= g.series {
			leftOut++
			continue
		}
		if description, found, err := g.groups.Describe(l.ID); found && err == nil {
			c <- prometheus.MustNewConstMetric(groupMembers, prometheus.GaugeValue, float64(description.Size()), l.ID)
			told++
		}
		reply := g.groups.Fetch(ctx, l.ID, group.Fetch{All: true})
		if reply.Err != nil {
			continue
		}
		for _, o := range reply.Offsets {
			if told >= g.series {
				leftOut++
				continue
			}
			told++
			g.partition(c, l.ID, o, &toRead)
		}
	}
	c <- prometheus.MustNewConstMetric(groupLeftOut, prometheus.GaugeValue, float64(leftOut))
}

// partition tells of one committed offset.
func (g groupCollector) partition(c chan<- prometheus.Metric, id string, o group.FetchedOffset, toRead *int64) {
	labels := []string{id, o.Topic, itoa(o.Partition)}
	send := func(d *prometheus.Desc, v float64) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	send(groupOffset, float64(o.Offset))
	p, err := g.replicas.Get(o.Topic, o.Partition)
	if err != nil {
		return // the topic is gone, or its log cannot be opened: nothing is known of it
	}
	// What was deleted is not waited for.
	next := max(record.Offset(o.Offset), p.StartOffset())
	lag := max(0, p.HighWatermark()-next)
	send(groupLag, float64(lag))
	if lag == 0 {
		send(groupLagTime, 0)
		return
	}
	if *toRead <= 0 {
		return
	}
	if came, size, ok := timeOf(p, next); ok {
		*toRead -= size
		send(groupLagTime, max(0, g.now().Sub(came).Seconds()))
	}
}

// timeOf reads when the batch of a record came: the timestamp of its first record, since the later ones may be
// compressed. size is what was read for it.
func timeOf(p *replica.Partition, o record.Offset) (came time.Time, size int64, ok bool) {
	span, _, err := p.Read(o, 1, true, false)
	if err != nil {
		return time.Time{}, 0, false
	}
	defer span.Release()
	if span.Len() < record.HeaderSize {
		return time.Time{}, 0, false
	}
	return time.UnixMilli(record.Batch(span.Bytes()).BaseTimestamp()), int64(span.Len()), true
}
