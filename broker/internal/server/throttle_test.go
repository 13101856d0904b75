package server_test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
)

// startThrottled starts a broker whose rates are measured over two windows of a second: one second's
// worth may be used in one go.
func startThrottled(t *testing.T) *brokertest.Broker {
	t.Helper()
	return brokertest.Start(t, brokertest.InMemory(),
		brokertest.WithSetting("quota.window.num", "2"), brokertest.WithSetting("controller.quota.window.num", "2"))
}

// limit sets one limit, or takes it back with 0. The entity is written type=name, or type= for the default.
func (c *rawClient) limit(entity, key string, value float64) {
	c.t.Helper()
	req := kmsg.NewPtrAlterClientQuotasRequest()
	e := kmsg.NewAlterClientQuotasRequestEntry()
	kind, name, _ := strings.Cut(entity, "=")
	part := kmsg.AlterClientQuotasRequestEntryEntity{Type: kind}
	if name != "" {
		part.Name = &name
	}
	e.Entity = append(e.Entity, part)
	e.Ops = append(e.Ops, kmsg.AlterClientQuotasRequestEntryOp{Key: key, Value: value, Remove: value == 0})
	req.Entries = append(req.Entries, e)
	if out := ask[*kmsg.AlterClientQuotasResponse](c, req, 1).Entries[0]; out.ErrorCode != 0 {
		c.t.Fatalf("limit %s %s: %s", entity, key, deref(out.ErrorMessage))
	}
}

// noSooner checks that a client that was told to wait was not answered before.
func noSooner(t *testing.T, since time.Time, throttleMillis int32) {
	t.Helper()
	if gone := time.Since(since); gone < time.Duration(throttleMillis)*time.Millisecond {
		t.Errorf("answered after %v, told to wait %d ms", gone, throttleMillis)
	}
}

func TestQuota_ProducerIsHeldBackAndOthersAreServed(t *testing.T) {
	t.Parallel()
	b := startThrottled(t)
	c, other := dialBroker(t, b), dialBroker(t, b)
	id := c.createTopic("orders", 1)
	c.limit("client-id=raw", "producer_byte_rate", 2000)
	if resp := ask[*kmsg.ProduceResponse](c, produceRequest("orders", id, 0, 1, batch(t, 1)), 13); resp.ThrottleMillis != 0 {
		t.Errorf("the first record is throttled by %d ms", resp.ThrottleMillis)
	}
	resp := ask[*kmsg.ProduceResponse](c, produceRequest("orders", id, 0, 1, batch(t, 200)), 13)
	answered := time.Now()
	if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 || resp.ThrottleMillis <= 0 {
		t.Fatalf("error %d, throttled by %d ms: the records are to be taken and the client held back", p.ErrorCode, resp.ThrottleMillis)
	}
	metadata := kmsg.NewPtrMetadataRequest()
	c.send(metadata, 12)
	// Another connection is served meanwhile, also of the same client id.
	ask[*kmsg.MetadataResponse](other, kmsg.NewPtrMetadataRequest(), 12)
	c.receive(metadata, c.corr)
	noSooner(t, answered, resp.ThrottleMillis)
	if got := c.fetch(13, "orders", id, 0); got.HighWatermark != 201 {
		t.Errorf("high watermark %d, want 201", got.HighWatermark)
	}
}

// Produce with acks=0 has no answer to be told by; the connection is silent all the same.
func TestQuota_ProducerWithoutAcks(t *testing.T) {
	t.Parallel()
	b := startThrottled(t)
	c := dialBroker(t, b)
	id := c.createTopic("orders", 1)
	c.limit("client-id=", "producer_byte_rate", 2000)
	began := time.Now()
	c.send(produceRequest("orders", id, 0, 0, batch(t, 200)), 13)
	metadata := kmsg.NewPtrMetadataRequest()
	c.send(metadata, 12)
	c.receive(metadata, c.corr)
	if gone := time.Since(began); gone < 200*time.Millisecond {
		t.Errorf("answered after %v: nobody was held back", gone)
	}
}

func TestQuota_ConsumerGetsNoMoreThanItsShare(t *testing.T) {
	t.Parallel()
	b := startThrottled(t)
	c := dialBroker(t, b)
	id := c.createTopic("orders", 1)
	for range 20 {
		c.produce(13, "orders", id, 1, batch(t, 10))
	}
	c.limit("user=ANONYMOUS", "consumer_byte_rate", 1000)
	req := fetchRequest("orders", id, 0, 0)
	req.MinBytes, req.MaxWaitMillis = 1<<20, 60_000 // more than it may ever get is not waited for
	first := ask[*kmsg.FetchResponse](c, req, 13)
	if first.ThrottleMillis != 0 || len(first.Topics) != 1 {
		t.Fatalf("the first fetch is throttled by %d ms, %d topics", first.ThrottleMillis, len(first.Topics))
	}
	got := len(first.Topics[0].Partitions[0].RecordBatches)
	if got == 0 || got > 1000 {
		t.Errorf("the first fetch has %d bytes, want some and at most 1000", got)
	}
	second := ask[*kmsg.FetchResponse](c, fetchRequest("orders", id, 0, 0), 13)
	answered := time.Now()
	if second.ThrottleMillis <= 0 || len(second.Topics) != 0 || second.ErrorCode != 0 {
		t.Fatalf("the second fetch: throttled by %d ms, %d topics, error %d; want an empty answer", second.ThrottleMillis, len(second.Topics), second.ErrorCode)
	}
	for range 20 {
		next := ask[*kmsg.FetchResponse](c, fetchRequest("orders", id, 0, 0), 13)
		noSooner(t, answered, second.ThrottleMillis)
		if len(next.Topics) == 1 && len(next.Topics[0].Partitions[0].RecordBatches) > 0 {
			return
		}
	}
	t.Error("held back for ever")
}

func TestQuota_TimeOfRequests(t *testing.T) {
	t.Parallel()
	b := startThrottled(t)
	c := dialBroker(t, b)
	c.limit("client-id=raw", "request_percentage", 1e-6)
	resp := ask[*kmsg.MetadataResponse](c, kmsg.NewPtrMetadataRequest(), 12)
	answered := time.Now()
	if resp.ThrottleMillis <= 0 || resp.ThrottleMillis > 1000 {
		t.Fatalf("throttled by %d ms, want 1 to 1000", resp.ThrottleMillis)
	}
	next := ask[*kmsg.ApiVersionsResponse](c, kmsg.NewPtrApiVersionsRequest(), 2)
	noSooner(t, answered, resp.ThrottleMillis)
	if next.ThrottleMillis <= 0 {
		t.Error("ApiVersions is not throttled")
	}
}

// What a change costs is the number of partitions (KIP-599).
func TestQuota_ControllerChanges(t *testing.T) {
	t.Parallel()
	b := startThrottled(t)
	dialBroker(t, b).limit("client-id=raw", "controller_mutation_rate", 0.01)
	create := func(name string, version int16) *kmsg.CreateTopicsResponse {
		req := kmsg.NewPtrCreateTopicsRequest()
		topic := kmsg.NewCreateTopicsRequestTopic()
		topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 3, 1
		req.Topics = append(req.Topics, topic)
		return ask[*kmsg.CreateTopicsResponse](dialBroker(t, b), req, version) // a connection that is not held back
	}
	if first := create("a", 7); first.Topics[0].ErrorCode != 0 || first.ThrottleMillis != 0 {
		t.Fatalf("the first topic: error %d, throttled by %d ms", first.Topics[0].ErrorCode, first.ThrottleMillis)
	}
	refused := create("b", 7)
	if code := refused.Topics[0].ErrorCode; code != kerr.ThrottlingQuotaExceeded.Code || refused.ThrottleMillis <= 0 {
		t.Errorf("the second topic: error %d, throttled by %d ms", code, refused.ThrottleMillis)
	}
	if got := deref(refused.Topics[0].ErrorMessage); got != "The throttling quota has been exceeded." {
		t.Errorf("message %q", got)
	}
	if old := create("c", 5); old.Topics[0].ErrorCode != 0 || old.ThrottleMillis <= refused.ThrottleMillis {
		t.Errorf("version 5: error %d, throttled by %d ms, which should be more than %d", old.Topics[0].ErrorCode, old.ThrottleMillis, refused.ThrottleMillis)
	}
	more := kmsg.NewPtrCreatePartitionsRequest()
	grown := kmsg.NewCreatePartitionsRequestTopic()
	grown.Topic, grown.Count = "a", 5
	more.Topics = append(more.Topics, grown)
	if resp := ask[*kmsg.CreatePartitionsResponse](dialBroker(t, b), more, 3); resp.Topics[0].ErrorCode != kerr.ThrottlingQuotaExceeded.Code || resp.ThrottleMillis <= 0 {
		t.Errorf("CreatePartitions: error %d, throttled by %d ms", resp.Topics[0].ErrorCode, resp.ThrottleMillis)
	}
	remove := kmsg.NewPtrDeleteTopicsRequest()
	gone := kmsg.NewDeleteTopicsRequestTopic()
	gone.Topic = kmsg.StringPtr("a")
	remove.Topics, remove.TopicNames = append(remove.Topics, gone), []string{"a"}
	if resp := ask[*kmsg.DeleteTopicsResponse](dialBroker(t, b), remove, 6); resp.Topics[0].ErrorCode != kerr.ThrottlingQuotaExceeded.Code || resp.ThrottleMillis <= 0 {
		t.Errorf("DeleteTopics: error %d, throttled by %d ms", resp.Topics[0].ErrorCode, resp.ThrottleMillis)
	}
	if resp := ask[*kmsg.DeleteTopicsResponse](dialBroker(t, b), remove, 4); resp.Topics[0].ErrorCode != 0 || resp.ThrottleMillis <= 0 {
		t.Errorf("DeleteTopics version 4: error %d, throttled by %d ms", resp.Topics[0].ErrorCode, resp.ThrottleMillis)
	}
}

// A connection too many is closed without an answer, after a wait (KIP-612).
func TestQuota_ConnectionsOfAnAddress(t *testing.T) {
	t.Parallel()
	b := startThrottled(t)
	admin := dialBroker(t, b)
	admin.limit("ip=127.0.0.1", "connection_creation_rate", 1)
	served := func() bool {
		conn, err := net.Dial("tcp", b.Addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		req := kmsg.NewPtrApiVersionsRequest()
		if _, err := conn.Write(kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)); err != nil {
			return false
		}
		_, err = io.ReadFull(conn, make([]byte, 4))
		return err == nil
	}
	if !served() {
		t.Error("the first connection is refused")
	}
	refused := false
	for range 3 {
		refused = !served() || refused
	}
	if !refused {
		t.Error("four connections at once, and one a second is allowed")
	}
	admin.limit("ip=127.0.0.1", "connection_creation_rate", 0)
	if !served() {
		t.Error("refused without a limit")
	}
}

// Connections of all addresses together wait, and are served (KIP-612).
func TestQuota_ConnectionsOfAll(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.InMemory(), brokertest.WithSetting("quota.window.num", "2"), brokertest.WithSetting("max.connection.creation.rate", "5"))
	began := time.Now()
	for range 12 {
		ask[*kmsg.ApiVersionsResponse](dialBroker(t, b), kmsg.NewPtrApiVersionsRequest(), 2)
	}
	// Five come in the first second at once; a wait is one second at most.
	if gone := time.Since(began); gone < 500*time.Millisecond {
		t.Errorf("12 connections in %v, at 5 a second", gone)
	}
}

// throttleHook counts what a real client is told.
type throttleHook struct{ times atomic.Int64 }

func (h *throttleHook) OnBrokerThrottle(kgo.BrokerMetadata, time.Duration, bool) { h.times.Add(1) }

// A producer of franz-go stays within its limit by what it is told, and loses nothing.
func TestQuota_RealClientKeepsItsRate(t *testing.T) {
	t.Parallel()
	b := startThrottled(t)
	admin := dialBroker(t, b)
	admin.createTopic("orders", 1)
	const rate, records, size = 40_000, 40, 2_000
	admin.limit("client-id=shop", "producer_byte_rate", rate)
	hook := &throttleHook{}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.ClientID("shop"), kgo.WithHooks(hook),
		kgo.DefaultProduceTopic("orders"), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ConsumeTopics("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	began := time.Now()
	for range records {
		if err := client.ProduceSync(ctx, kgo.SliceRecord(make([]byte, size))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	// One second's worth goes at once; of the rest, the last wait comes after the last answer.
	if gone, least := time.Since(began).Seconds(), float64(records*size-2*rate)/rate; gone < least || hook.times.Load() == 0 {
		t.Errorf("%d bytes in %.2f s, want at least %.2f; told to wait %d times", records*size, gone, least, hook.times.Load())
	}
	got := 0
	for got < records && ctx.Err() == nil {
		got += client.PollFetches(ctx).NumRecords()
	}
	if got != records {
		t.Errorf("%d records, want %d", got, records)
	}
}
