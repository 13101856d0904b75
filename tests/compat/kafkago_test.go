package compat

import (
	"context"
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
)

var kafkaGoCodecs = map[string]kafka.Compression{
	"gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
}

func produceKafkaGo(t *testing.T, seeds []string, topic, codec string, records []record) {
	t.Helper()
	w := &kafka.Writer{
		Addr: kafka.TCP(seeds...), Topic: topic, Balancer: kafka.Murmur2Balancer{}, RequiredAcks: kafka.RequireAll,
		Compression: kafkaGoCodecs[codec], BatchTimeout: 10 * time.Millisecond, Transport: kafkaGoTransport(t),
	}
	defer w.Close()
	messages := make([]kafka.Message, len(records))
	for i, r := range records {
		messages[i] = kafka.Message{Key: r.key, Value: r.value}
		for _, h := range r.headers {
			messages[i].Headers = append(messages[i].Headers, kafka.Header{Key: h.key, Value: h.value})
		}
	}
	if err := w.WriteMessages(within(t, patience), messages...); err != nil {
		t.Fatalf("kafka-go produce: %v", err)
	}
}

// kafkaGoTransport is a pool of connections that ends with the test; the default one never does.
func kafkaGoTransport(t *testing.T) *kafka.Transport {
	t.Helper()
	transport := &kafka.Transport{ClientID: "compat-kafka-go", MetadataTTL: time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func joinKafkaGo(t *testing.T, seeds []string, group, topic string) *member {
	t.Helper()
	r := kafka.NewReader(kafka.ReaderConfig{
		Brokers: seeds, GroupID: group, Topic: topic, StartOffset: kafka.FirstOffset, MaxWait: 200 * time.Millisecond,
		SessionTimeout: sessionTimeout, RebalanceTimeout: rebalanceTimeout, HeartbeatInterval: heartbeatInterval,
		GroupBalancers: []kafka.GroupBalancer{kafka.RangeGroupBalancer{}},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	m := &member{}
	m.leave = func() {
		cancel()
		<-done
		if err := r.Close(); err != nil {
			t.Errorf("kafka-go close: %v", err)
		}
	}
	t.Cleanup(m.close)
	go func() {
		defer close(done)
		for {
			message, err := r.FetchMessage(ctx)
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("kafka-go fetch: %v", err)
				}
				return
			}
			out := record{topic: message.Topic, partition: int32(message.Partition), offset: message.Offset, key: message.Key, value: message.Value}
			for _, h := range message.Headers {
				out.headers = append(out.headers, header{h.Key, h.Value})
			}
			m.add(out)
			if err := r.CommitMessages(ctx, message); err != nil && ctx.Err() == nil {
				t.Errorf("kafka-go commit: %v", err)
			}
		}
	}()
	return m
}

// What kafka-go's Client sends: topics, settings, partitions, offsets by time, groups,
// transactions, deleted records. Errors come with Kafka's codes.
func TestKafkaGo_Client(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	ctx := within(t, patience)
	c := &kafka.Client{Addr: kafka.TCP(seeds...), Timeout: patience, Transport: kafkaGoTransport(t)}
	topic, group := newTopic(t, seeds, 2, nil), uniqueName(t, "group")

	again, err := c.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: 1, ReplicationFactor: 1}}})
	if err != nil || !errors.Is(again.Errors[topic], kafka.TopicAlreadyExists) {
		t.Errorf("a topic made twice: %v, %v", again.Errors, err)
	}
	if _, err := c.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: 3}}}); err != nil {
		t.Error(err)
	}
	set := kafka.IncrementalAlterConfigsRequestResource{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "retention.ms", Value: "1234", ConfigOperation: kafka.ConfigOperationSet}},
	}
	if _, err := c.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{set}}); err != nil {
		t.Error(err)
	}
	eventually(t, "the setting is there", func(ctx context.Context) (bool, string) {
		got, err := c.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
			ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"retention.ms"},
		}}})
		if err != nil || len(got.Resources) != 1 || len(got.Resources[0].ConfigEntries) != 1 {
			return false, "none"
		}
		value := got.Resources[0].ConfigEntries[0].ConfigValue
		return value == "1234", value
	})

	for i := range 3 {
		produced, err := c.Produce(ctx, &kafka.ProduceRequest{
			Topic: topic, Partition: 0, RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(kafka.Record{
				Time: time.UnixMilli(int64(1_000_000 + 1000*i)), Value: kafka.NewBytes([]byte(strconv.Itoa(i))),
			}),
		})
		if err != nil || produced.Error != nil || produced.BaseOffset != int64(i) {
			t.Fatalf("produce %d: %+v, %v", i, produced, err)
		}
	}
	offsets, err := c.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		topic: {kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0), kafka.TimeOffsetOf(0, time.UnixMilli(1_000_500))},
	}})
	if err != nil || len(offsets.Topics[topic]) != 1 {
		t.Fatalf("offsets %+v, %v", offsets, err)
	}
	if got := offsets.Topics[topic][0]; got.FirstOffset != 0 || got.LastOffset != 3 || len(got.Offsets) != 1 || got.Offsets[1].IsZero() {
		t.Errorf("offsets %+v", got)
	}
	fetched, err := c.Fetch(ctx, &kafka.FetchRequest{Topic: topic, Partition: 0, Offset: 1, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second})
	if err != nil || fetched.Error != nil || fetched.HighWatermark != 3 {
		t.Errorf("fetch: %+v, %v", fetched, err)
	}

	committed, err := c.OffsetCommit(ctx, &kafka.OffsetCommitRequest{
		GroupID: group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{topic: {{Partition: 0, Offset: 2}}},
	})
	if err != nil || committed.Topics[topic][0].Error != nil {
		t.Errorf("commit: %+v, %v", committed, err)
	}
	back, err := c.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{topic: {0}}})
	if err != nil || back.Topics[topic][0].CommittedOffset != 2 {
		t.Errorf("committed: %+v, %v", back, err)
	}
	groups, err := c.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err != nil || len(groups.Groups) != 1 || groups.Groups[0].GroupState != "Empty" {
		t.Errorf("group: %+v, %v", groups, err)
	}
	if gone, err := c.DeleteGroups(ctx, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}}); err != nil || gone.Errors[group] != nil {
		t.Errorf("delete group: %+v, %v", gone, err)
	}

	id, err := c.InitProducerID(ctx, &kafka.InitProducerIDRequest{TransactionalID: uniqueName(t, "txn"), TransactionTimeoutMs: 10_000})
	if err != nil || id.Error != nil || id.Producer.ProducerID < 0 {
		t.Errorf("producer id: %+v, %v", id, err)
	}
	unknown, err := c.Metadata(ctx, &kafka.MetadataRequest{Topics: []string{uniqueName(t, "nowhere")}})
	if err != nil || len(unknown.Topics) != 1 || !errors.Is(unknown.Topics[0].Error, kafka.UnknownTopicOrPartition) && !errors.Is(unknown.Topics[0].Error, kafka.LeaderNotAvailable) && unknown.Topics[0].Error != nil {
		t.Errorf("metadata of an unknown topic: %+v, %v", unknown, err)
	}
	versions, err := c.ApiVersions(ctx, &kafka.ApiVersionsRequest{})
	if err != nil || len(versions.ApiKeys) < 40 {
		t.Errorf("versions: %+v, %v", versions, err)
	}
}

// kafka-go's Conn is its oldest form: one connection to one partition's leader.
func TestKafkaGo_Conn(t *testing.T) {
	t.Parallel()
	seeds := seeds(t)
	topic := newTopic(t, seeds, 1, nil)
	conn, err := kafka.DialLeader(within(t, patience), "tcp", seeds[0], topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.WriteMessages(kafka.Message{Value: []byte("a")}, kafka.Message{Value: []byte("b")}); err != nil {
		t.Fatal(err)
	}
	if first, last, err := conn.ReadOffsets(); err != nil || first != 0 || last != 2 {
		t.Errorf("offsets %d to %d, %v", first, last, err)
	}
	batch := conn.ReadBatch(1, 1<<20)
	for _, want := range []string{"a", "b"} {
		if m, err := batch.ReadMessage(); err != nil || string(m.Value) != want {
			t.Errorf("read %q, %v; want %q", m.Value, err, want)
		}
	}
	if err := batch.Close(); err != nil {
		t.Error(err)
	}
	controller, err := conn.Controller()
	if err != nil || net.JoinHostPort(controller.Host, strconv.Itoa(controller.Port)) == "" {
		t.Errorf("controller %+v, %v", controller, err)
	}
	brokers, err := conn.Brokers()
	if err != nil || len(brokers) == 0 {
		t.Errorf("brokers %v, %v", brokers, err)
	}
}
