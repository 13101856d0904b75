package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/broker/brokertest"
	"millrace/broker/internal/server"
)

// accepted lists where the answers may differ, by key and by the end of what was changed. Keys: nil is every one.
var accepted = []struct {
	keys []int16
	what string // a suffix of "FIELD CHANGE"
	why  string
}{
	{nil, "twice", "what is named twice is answered twice, and by Kafka in some requests once"},
	{[]int16{1}, "MaxBytes -2", "a negative limit is refused, and by Kafka where there is something to read"},
	{[]int16{1}, "MaxBytes -1", "the same"},
	{[]int16{1}, "SessionID 2147483647", "a request without a session that names one"},
	{[]int16{1}, "Topics.Topic ''", "UNKNOWN_TOPIC_ID: no name is no topic"},
	{[]int16{2, 8, 21, 27, 28, 34, 90}, "Partitions empty", "a topic without partitions is answered, and left out by Kafka"},
	{[]int16{2, 8, 21, 27, 28, 34, 90}, "Partitions null", "the same"},
	{[]int16{2, 23}, "CurrentLeaderEpoch -2", "any negative epoch is none"},
	{[]int16{24}, "Transactions empty", "divergence.md: AddPartitionsToTxn without any transaction"},
	{[]int16{24}, "Transactions null", "the same"},
	{[]int16{27}, "Topics empty", "a marker without topics is answered, and left out by Kafka"},
	{[]int16{27}, "Topics null", "the same"},
	{[]int16{27}, "ProducerID -2", "refused, and written by Kafka"},
	{[]int16{27}, "ProducerEpoch -2", "refused by another code"},
	{[]int16{34}, "Topics.Topic long", "no folder but one: that is told first"},
	{[]int16{45}, "TimeoutMillis -2", "what takes no time does not time out"},
	{[]int16{45}, "TimeoutMillis -1", "the same"},
	{[]int16{45}, "TimeoutMillis 0", "the same"},
	{[]int16{68}, "Topics.Partitions empty", "owned topics without partitions are none"},
	{[]int16{68}, "Topics.Partitions null", "the same"},
	{[]int16{90}, "Groups.GroupID ''", "INVALID_GROUP_ID, and UNKNOWN_SERVER_ERROR from Kafka"},
	{[]int16{75}, "Topics.Topic ''", "INVALID_TOPIC_EXCEPTION, and UNKNOWN_SERVER_ERROR from Kafka"},
}

// compared are the keys whose requests change nothing that a later one sees, or the same on both brokers.
var compared = []int16{
	1, 2, 8, 9, 10, 12, 13, 14, 15, 16, 17, 21, 22, 23, 24, 25, 26, 27, 28, 32, 34, 36, 39, 40, 41, 42, 45, 46, 47, 48, 50, 55, 61, 65, 66, 68, 74, 75,
	77, 90, 92,
}

// TestDifferential sends the same requests to our broker and to Apache Kafka: for each of the compared keys, at the lowest and the highest
// version, one that makes sense and then one for each absurd value of each of its fields. It needs a fresh Kafka at
// MILLRACE_PEER, with group.initial.rebalance.delay.ms=0.
func TestDifferential(t *testing.T) {
	peer := os.Getenv("MILLRACE_PEER")
	if peer == "" {
		t.Skip("needs an Apache Kafka at MILLRACE_PEER=host:port")
	}
	ours, theirs := newSide(t, brokertest.Start(t, brokertest.InMemory()).Addr), newSide(t, peer)
	for _, api := range server.Registered() {
		if !slices.Contains(compared, api.Key) {
			continue
		}
		t.Run(kmsg.NameForKey(api.Key), func(t *testing.T) {
			cases := append([]change{{"unchanged", func(reflect.Value) {}}}, changes(reflect.TypeOf(kmsg.RequestForKey(api.Key)).Elem(), nil, "")...)
			for _, version := range slices.Compact([]int16{api.MinVersion, api.MaxVersion}) {
				for _, c := range cases {
					got, want := ours.answer(api.Key, version, c), theirs.answer(api.Key, version, c)
					if got != want && !isAccepted(api.Key, c.what) {
						t.Errorf("version %d, %s:\nours    %s\nKafka's %s", version, c.what, got, want)
					}
				}
			}
		})
	}
}

func isAccepted(key int16, what string) bool {
	for _, a := range accepted {
		if (a.keys == nil || slices.Contains(a.keys, key)) && strings.HasSuffix(what, a.what) {
			return true
		}
	}
	return false
}

// side is one of the two brokers.
type side struct {
	t           *testing.T
	address     string
	topicID     [16]byte
	conn        net.Conn
	correlation int32
}

// newSide makes the topic and waits for the coordinators.
func newSide(t *testing.T, address string) *side {
	t.Helper()
	s := &side{t: t, address: address}
	t.Cleanup(s.hangUp)
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	admin := kadm.NewClient(client)
	created, err := admin.CreateTopic(ctx, 3, 1, nil, sameTopic)
	if err != nil {
		t.Fatalf("%s: %v; the broker has to be a fresh one", address, err)
	}
	s.topicID = created.ID
	offsets := kadm.Offsets{}
	offsets.AddOffset(sameTopic, 0, 0, -1)
	for {
		_, err := admin.CommitOffsets(ctx, sameGroup, offsets)
		if err == nil {
			_, err = client.Request(ctx, initTransactional())
		}
		if err == nil {
			return s
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: %v", address, err)
		}
	}
}

func initTransactional() *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = kmsg.StringPtr("differential"), 1000
	return req
}

// loading is how COORDINATOR_LOAD_IN_PROGRESS is shown. Each name has a partition of its own, which Kafka loads when it is first asked for.
var loading = fmt.Sprintf("ErrorCode=%d", kerr.CoordinatorLoadInProgress.Code)

// answer sends a changed request and shows what comes back.
func (s *side) answer(key, version int16, c change) string {
	s.t.Helper()
	req := kmsg.RequestForKey(key)
	setDefaults(reflect.ValueOf(req))
	fillIn(reflect.ValueOf(req).Elem(), s.topicID)
	c.apply(reflect.ValueOf(req).Elem())
	req.SetVersion(version)
	resp, err := s.send(req)
	var ofNet net.Error
	switch {
	case errors.As(err, &ofNet) && ofNet.Timeout():
		s.hangUp()
		return "no answer"
	case errors.Is(err, io.EOF), errors.As(err, &ofNet):
		s.hangUp()
		return "closed"
	case err != nil:
		s.t.Errorf("%s: %s version %d, %s: %v", s.address, kmsg.NameForKey(key), version, c.what, err)
	}
	text := shown(resp)
	if strings.Contains(text, loading) {
		time.Sleep(50 * time.Millisecond)
		return s.answer(key, version, c)
	}
	return text
}

func (s *side) send(req kmsg.Request) (kmsg.Response, error) {
	if s.conn == nil {
		conn, err := net.Dial("tcp", s.address)
		if err != nil {
			s.t.Fatal(err)
		}
		s.conn = conn
	}
	s.correlation++
	return exchange(s.conn, 3*time.Second, req, s.correlation)
}

func (s *side) hangUp() {
	if s.conn != nil {
		_ = s.conn.Close()
		s.conn = nil
	}
}
