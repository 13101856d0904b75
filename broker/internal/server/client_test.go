package server_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
	"millrace/broker/internal/record"
)

// rawClient speaks the protocol by hand, at the versions that a test chooses, and
// asks for no ApiVersions first, as old clients do.
type rawClient struct {
	t    testing.TB
	conn net.Conn
	corr int32
}

func dialBroker(t testing.TB, b *brokertest.Broker) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", b.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &rawClient{t: t, conn: conn}
}

// write sends bytes as they are.
func (c *rawClient) write(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

func (c *rawClient) send(req kmsg.Request, version int16) {
	c.t.Helper()
	req.SetVersion(version)
	c.corr++
	c.write(kmsg.NewRequestFormatter(kmsg.FormatterClientID("raw")).AppendRequest(nil, req, c.corr))
}

// receive reads the answer to the oldest unanswered request.
func (c *rawClient) receive(req kmsg.Request, corr int32) kmsg.Response {
	c.t.Helper()
	body, err := c.frame()
	if err != nil {
		c.t.Fatalf("%s v%d: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	if got := int32(binary.BigEndian.Uint32(body)); got != corr {
		c.t.Fatalf("correlation id %d, want %d", got, corr)
	}
	body = body[4:]
	if req.IsFlexible() && req.Key() != 18 {
		if body[0] != 0 {
			c.t.Fatalf("response header has tags: %d", body[0])
		}
		body = body[1:]
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(body); err != nil {
		c.t.Fatalf("%s v%d: %v: %x", kmsg.NameForKey(req.Key()), req.GetVersion(), err, body)
	}
	return resp
}

func (c *rawClient) frame() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(c.conn, size[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	_, err := io.ReadFull(c.conn, body)
	return body, err
}

// exchange writes a request and reads its answer. An error is the connection's, or says what is wrong with the answer.
func exchange(conn net.Conn, patience time.Duration, req kmsg.Request, correlation int32) (kmsg.Response, error) {
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("scenario")).AppendRequest(nil, req, correlation)
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(frame); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, body); err != nil {
		return nil, err
	}
	if got := int32(binary.BigEndian.Uint32(body)); got != correlation {
		return nil, fmt.Errorf("answer to %d, expected %d", got, correlation)
	}
	body = body[4:]
	if req.IsFlexible() && req.Key() != 18 {
		if body[0] != 0 {
			return nil, fmt.Errorf("%d tags in the response header", body[0])
		}
		body = body[1:]
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	return resp, resp.ReadFrom(body)
}

// ask sends a request and returns its answer.
func ask[R kmsg.Response](c *rawClient, req kmsg.Request, version int16) R {
	c.t.Helper()
	c.send(req, version)
	return c.receive(req, c.corr).(R)
}

// closed fails the test unless the broker closes the connection without a byte.
func (c *rawClient) closed() {
	c.t.Helper()
	n, err := c.conn.Read(make([]byte, 1))
	var timeout net.Error
	if n != 0 || err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		c.t.Fatalf("the connection is not closed: %d bytes, %v", n, err)
	}
}

// batch makes a batch of records "k0"="v0", "k1"="v1", …
func batch(t testing.TB, n int) record.Batch {
	t.Helper()
	var b record.Builder
	for i := range n {
		b.Add(time.Now().UnixMilli(), fmt.Append(nil, "k", i), fmt.Append(nil, "v", i))
	}
	out, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// idempotent makes a batch of a producer.
func idempotent(t testing.TB, id int64, epoch int16, sequence int32, n int) record.Batch {
	t.Helper()
	b := record.Builder{Idempotent: true, ProducerID: id, ProducerEpoch: epoch, BaseSequence: sequence}
	for i := range n {
		b.Add(time.Now().UnixMilli(), nil, fmt.Append(nil, "v", i))
	}
	out, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func produceRequest(topic string, id [16]byte, partition int32, acks int16, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 10_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.TopicID = topic, id
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition, rp.Records = partition, records
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

func fetchRequest(topic string, id [16]byte, partition int32, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 0, 1, 50<<20
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID = topic, id
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = partition, offset, 1<<20
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

// createTopicRequest asks for one topic; configs are names and values in turn.
func createTopicRequest(name string, partitions int32, configs ...string) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, partitions, 1
	for i := 0; i < len(configs); i += 2 {
		rc := kmsg.NewCreateTopicsRequestTopicConfig()
		rc.Name, rc.Value = configs[i], kmsg.StringPtr(configs[i+1])
		rt.Configs = append(rt.Configs, rc)
	}
	req.Topics, req.TimeoutMillis = append(req.Topics, rt), 30_000
	return req
}

// createTopic makes a topic and returns its id.
func (c *rawClient) createTopic(name string, partitions int32, configs ...string) [16]byte {
	c.t.Helper()
	req := createTopicRequest(name, partitions, configs...)
	resp := ask[*kmsg.CreateTopicsResponse](c, req, 7)
	if code := resp.Topics[0].ErrorCode; code != 0 {
		c.t.Fatalf("create %s: error %d %s", name, code, deref(resp.Topics[0].ErrorMessage))
	}
	return resp.Topics[0].TopicID
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// produce writes records and returns the partition's answer.
func (c *rawClient) produce(version int16, topic string, id [16]byte, acks int16, records []byte) kmsg.ProduceResponseTopicPartition {
	c.t.Helper()
	resp := ask[*kmsg.ProduceResponse](c, produceRequest(topic, id, 0, acks, records), version)
	return resp.Topics[0].Partitions[0]
}

// fetch reads partition 0 from an offset, without waiting.
func (c *rawClient) fetch(version int16, topic string, id [16]byte, offset int64) kmsg.FetchResponseTopicPartition {
	c.t.Helper()
	resp := ask[*kmsg.FetchResponse](c, fetchRequest(topic, id, 0, offset), version)
	if resp.ErrorCode != 0 || resp.SessionID != 0 {
		c.t.Fatalf("fetch: error %d, session %d", resp.ErrorCode, resp.SessionID)
	}
	return resp.Topics[0].Partitions[0]
}
