package messaging_test

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
)

func TestPublisher_SendsABatchAtOnce(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, events.TopicOrders))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	var mu sync.Mutex
	requests := 0
	cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		requests++
		return nil, nil, false
	})
	c := messaging.DefaultConfig()
	c.Brokers = cluster.ListenAddrs()
	registry := prometheus.NewRegistry()
	p := publisher(t, c, messaging.PublisherOptions{Registerer: registry})
	const n = 1000
	messages := make([]*message.Message, n)
	for i := range messages {
		messages[i] = messaging.NewMessage(t.Context(), "order_"+strconv.Itoa(i%10), []byte(strconv.Itoa(i)))
	}
	if err := p.Publish(events.TopicOrders, messages...); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	if requests > n/10 {
		t.Errorf("%d requests for %d messages", requests, n)
	}
	mu.Unlock()
	// Of one key all are in one partition, in order; and that is the partition that
	// Kafka's own clients would pick.
	kafkaPartitioner := kgo.StickyKeyPartitioner(nil).ForTopic(events.TopicOrders)
	last := map[string]int{}
	for _, r := range records(t, c, events.TopicOrders, n) {
		i, err := strconv.Atoi(string(r.Value))
		if err != nil || last[string(r.Key)] > i {
			t.Fatalf("key %s: %s after %d", r.Key, r.Value, last[string(r.Key)])
		}
		last[string(r.Key)] = i
		if want := kafkaPartitioner.Partition(r, 4); int(r.Partition) != want {
			t.Errorf("key %s is in partition %d, Kafka's clients take %d", r.Key, r.Partition, want)
		}
		if len(r.Headers) != 1 || r.Headers[0].Key != events.HeaderMessageID || string(r.Headers[0].Value) != messages[i].UUID {
			t.Errorf("headers %v", r.Headers)
		}
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP messaging_sent_messages_total Messages handed to the broker, by topic and whether it acknowledged them.
# TYPE messaging_sent_messages_total counter
messaging_sent_messages_total{outcome="ok",topic="orders"} 1000
`), "messaging_sent_messages_total"); err != nil {
		t.Error(err)
	}
}

func TestPublisher_TellsWhichMessagesFailed(t *testing.T) {
	t.Parallel()
	p := publisher(t, broker(t, kfake.SeedTopics(1, events.TopicOrders)), messaging.PublisherOptions{})
	small := func() *message.Message { return messaging.NewMessage(t.Context(), "k", []byte("small")) }
	big := messaging.NewMessage(t.Context(), "k", make([]byte, 2<<20))
	err := p.Publish(events.TopicOrders, small(), big, small())
	var failure *messaging.PublishError
	if !errors.As(err, &failure) || len(failure.Failed) != 1 || failure.Failed[1] == nil || failure.Total != 3 {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(err.Error(), "1 of 3 messages failed") {
		t.Errorf("got %q", err)
	}
	if err := p.Publish(events.TopicOrders); err != nil {
		t.Errorf("nothing to publish: %v", err)
	}
}

func TestPublisher_WaitsOutABrokerThatIsAway(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	c := messaging.DefaultConfig()
	c.Brokers = []string{fmt.Sprintf("127.0.0.1:%d", port)}
	p := publisher(t, c, messaging.PublisherOptions{})
	started := time.Now()
	var failure *messaging.PublishError
	if err := p.Publish(events.TopicOrders, messaging.NewMessage(t.Context(), "k", nil)); !errors.As(err, &failure) {
		t.Fatalf("got %v", err)
	}
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("it took %s to fail", took)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.SeedTopics(1, events.TopicOrders))
	if err != nil {
		t.Skip("the port was taken in between: ", err)
	}
	defer cluster.Close()
	if err := p.Publish(events.TopicOrders, messaging.NewMessage(t.Context(), "k", nil)); err != nil {
		t.Errorf("after the broker came: %v", err)
	}
	if err := errors.Join(p.Close(), p.Close()); err != nil {
		t.Error(err)
	}
	if err := p.Publish(events.TopicOrders, messaging.NewMessage(t.Context(), "k", nil)); !errors.Is(err, messaging.ErrPublisherClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestPublisher_StartsAnewAfterTheBrokerRefusedAll(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, events.TopicOrders))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		response := r.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range r.(*kmsg.ProduceRequest).Topics {
			answer := kmsg.NewProduceResponseTopic()
			answer.Topic, answer.TopicID = topic.Topic, topic.TopicID
			for _, partition := range topic.Partitions {
				p := kmsg.NewProduceResponseTopicPartition()
				p.Partition, p.ErrorCode = partition.Partition, kerr.TopicAuthorizationFailed.Code
				answer.Partitions = append(answer.Partitions, p)
			}
			response.Topics = append(response.Topics, answer)
		}
		return response, nil, true
	})
	c := messaging.DefaultConfig()
	c.Brokers = cluster.ListenAddrs()
	p := publisher(t, c, messaging.PublisherOptions{})
	if err := p.Publish(events.TopicOrders, messaging.NewMessage(t.Context(), "k", nil)); err == nil {
		t.Fatal("the refusal was not told")
	}
	if err := p.Publish(events.TopicOrders, messaging.NewMessage(t.Context(), "k", nil)); err != nil {
		t.Error(err)
	}
}

func TestEnsureTopics(t *testing.T) {
	t.Parallel()
	c := broker(t, kfake.SeedTopics(2, events.TopicOrders))
	for range 2 {
		if err := messaging.EnsureTopics(t.Context(), c, nil, events.Topics()...); err != nil {
			t.Fatal(err)
		}
	}
	request := kmsg.NewMetadataRequest()
	response, err := request.RequestWith(t.Context(), client(t, c))
	if err != nil {
		t.Fatal(err)
	}
	partitions := map[string]int{}
	for _, topic := range response.Topics {
		partitions[*topic.Topic] = len(topic.Partitions)
	}
	for _, topic := range events.Topics() {
		want := int(topic.Partitions)
		if topic.Name == events.TopicOrders {
			want = 2 // it was there
		}
		if partitions[topic.Name] != want {
			t.Errorf("%s has %d partitions, want %d", topic.Name, partitions[topic.Name], want)
		}
	}
	describe := kmsg.NewDescribeConfigsRequest()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, events.TopicDLQAudit
	describe.Resources = append(describe.Resources, resource)
	configs, err := describe.RequestWith(t.Context(), client(t, c))
	if err != nil || len(configs.Resources) != 1 {
		t.Fatalf("%v, %v", configs, err)
	}
	for _, config := range configs.Resources[0].Configs {
		if config.Name == "retention.ms" && config.Value != nil && *config.Value == "-1" {
			return
		}
	}
	t.Errorf("%s is cleaned: %+v", events.TopicDLQAudit, configs.Resources[0].Configs)
}

func BenchmarkPublisher(b *testing.B) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, events.TopicOrders))
	if err != nil {
		b.Fatal(err)
	}
	defer cluster.Close()
	c := messaging.DefaultConfig()
	c.Brokers = cluster.ListenAddrs()
	p, err := messaging.NewPublisher(c, messaging.PublisherOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	const batch = 500
	for b.Loop() {
		messages := make([]*message.Message, batch)
		for i := range messages {
			messages[i] = messaging.NewMessage(b.Context(), strconv.Itoa(i), []byte(`{"event_type":"ORDER_CREATED"}`))
		}
		if err := p.Publish(events.TopicOrders, messages...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "messages/s")
}
