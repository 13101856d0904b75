package broker

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What each group has committed, how much lies behind it, and for how long, under kafka_exporter's names.
func TestGroupMetrics(t *testing.T) {
	t.Parallel()
	b, client := running(t)
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopics(t.Context(), 2, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	came := time.UnixMilli(1_700_000_000_000)
	for i := range 5 {
		produce(t, client, came.Add(time.Duration(i)*time.Second))
	}
	commit := func(group string, offsets map[int32]int64) {
		t.Helper()
		var all kadm.Offsets
		for partition, at := range offsets {
			all.AddOffset("orders", partition, at, -1)
		}
		if err := admin.CommitAllOffsets(t.Context(), group, all); err != nil {
			t.Fatal(err)
		}
	}
	commit("behind", map[int32]int64{0: 2, 1: 0})
	commit("done", map[int32]int64{0: 5})

	collector := groupCollector{groups: b.groups, replicas: b.replicas, now: func() time.Time { return came.Add(time.Minute) }, series: groupSeries, bytes: groupAgeBytes}
	want := map[string]float64{
		`kafka_consumergroup_members{behind}`:                 0,
		`kafka_consumergroup_members{done}`:                   0,
		`kafka_consumergroup_current_offset{behind,0,orders}`: 2,
		`kafka_consumergroup_current_offset{behind,1,orders}`: 0,
		`kafka_consumergroup_current_offset{done,0,orders}`:   5,
		`kafka_consumergroup_lag{behind,0,orders}`:            3,
		`kafka_consumergroup_lag{behind,1,orders}`:            0,
		`kafka_consumergroup_lag{done,0,orders}`:              0,
		`kafka_consumergroup_lag_seconds{behind,0,orders}`:    58, // since the third record
		`kafka_consumergroup_lag_seconds{behind,1,orders}`:    0,
		`kafka_consumergroup_lag_seconds{done,0,orders}`:      0,
		`millrace_broker_group_series_left_out{}`:             0,
	}
	if got := gathered(t, collector); !maps.Equal(got, want) {
		t.Errorf("%v\nwant\n%v", got, want)
	}

	// A scrape is bounded: of groups beyond the limit it tells how many it left out, and it reads no more than so much for ages.
	collector.series, collector.bytes = 3, 0
	got := gathered(t, collector)
	if got["millrace_broker_group_series_left_out{}"] == 0 || len(got) >= len(want) {
		t.Errorf("with a limit of 3: %v", got)
	}
	if _, ok := got[`kafka_consumergroup_lag_seconds{behind,0,orders}`]; ok {
		t.Error("an age was read beyond the limit")
	}

	// A topic that is gone takes its lag with it, and deleted records are waited for by nobody.
	collector.series, collector.bytes = groupSeries, groupAgeBytes
	var upTo kadm.Offsets
	upTo.AddOffset("orders", 0, 4, -1)
	if _, err := admin.DeleteRecords(t.Context(), upTo); err != nil {
		t.Fatal(err)
	}
	if lag := gathered(t, collector)[`kafka_consumergroup_lag{behind,0,orders}`]; lag != 1 {
		t.Errorf("the lag is %v, but only 1 record is left", lag)
	}
	if _, err := admin.DeleteTopics(t.Context(), "orders"); err != nil {
		t.Fatal(err)
	}
	if _, ok := gathered(t, collector)[`kafka_consumergroup_lag{behind,0,orders}`]; ok {
		t.Error("a topic that is deleted has a lag")
	}
}

// running is an open broker that serves, and a client of it.
func running(t *testing.T) (*Broker, *kgo.Client) {
	t.Helper()
	b, err := Open(t.Context(), Config{
		DataDir: t.TempDir(), Listen: []Listen{{Address: "127.0.0.1:0"}}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return b, client
}

// produce appends a record with a timestamp to partition 0 of orders.
func produce(t *testing.T, client *kgo.Client, at time.Time) {
	t.Helper()
	r := &kgo.Record{Topic: "orders", Value: []byte("x"), Timestamp: at}
	if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// gathered is what a collector tells, as name{label values in the order of their names}.
func gathered(t *testing.T, c prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := ""
			for i, l := range m.GetLabel() {
				if i > 0 {
					labels += ","
				}
				labels += l.GetValue()
			}
			values[fmt.Sprintf("%s{%s}", f.GetName(), labels)] = m.GetGauge().GetValue()
		}
	}
	return values
}

// A group where the broker assigns is told of like any other, its members included.
func TestGroupMetrics_ConsumerProtocol(t *testing.T) {
	t.Parallel()
	b, client := running(t)
	if _, err := kadm.NewClient(client).CreateTopics(t.Context(), 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	join := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	join.Group, join.MemberID, join.RebalanceTimeoutMillis = "modern", "m", 1000
	join.SubscribedTopicNames, join.Topics = []string{"orders"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	joined, err := join.RequestWith(t.Context(), client)
	if err != nil || joined.ErrorCode != 0 {
		t.Fatal(err, joined)
	}
	commit := kmsg.NewPtrOffsetCommitRequest()
	commit.Group, commit.MemberID, commit.Generation = "modern", "m", joined.MemberEpoch
	commit.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "orders", TopicID: b.cluster.Image().Topic("orders").ID, Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Offset: 0}}}}
	if r, err := commit.RequestWith(t.Context(), client); err != nil || r.Topics[0].Partitions[0].ErrorCode != 0 {
		t.Fatal(err, r)
	}
	got := gathered(t, groupCollector{groups: b.groups, replicas: b.replicas, now: time.Now, series: groupSeries, bytes: groupAgeBytes})
	if got[`kafka_consumergroup_members{modern}`] != 1 || got[`kafka_consumergroup_lag{modern,0,orders}`] != 0 {
		t.Error(got)
	}
	if _, ok := got[`kafka_consumergroup_current_offset{modern,0,orders}`]; !ok {
		t.Errorf("no offset: %v", got)
	}
}
