package messaging_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
)

var retryTopic = events.RetryTopic(events.TopicOrders, group)

// oneRetryPartition makes the retry topic with one partition.
func oneRetryPartition() kfake.Opt { return kfake.SeedTopics(1, retryTopic) }

// again returns a record as it lies in the retry topic.
func again(payload string, r events.Retry) *kgo.Record {
	if r.Topic == "" {
		r.Topic, r.Offset = events.TopicOrders, 41
	}
	if r.Group == "" {
		r.Group = group
	}
	record := &kgo.Record{Topic: retryTopic, Key: []byte("key"), Value: []byte(payload)}
	headers := r.Headers()
	headers[events.HeaderMessageID] = "id of " + payload
	headers["event_type"] = "ORDER_CREATED"
	for name, value := range headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return record
}

func produce(t *testing.T, c messaging.Config, records ...*kgo.Record) {
	t.Helper()
	if err := client(t, c).ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func headersOf(r *kgo.Record) map[string]string {
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	return headers
}

// The whole way: tries in process, a wait in the retry topic, tries again, a longer
// wait, tries again, and then the dead letter topic or success.
func TestRetry_DelayedTier(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition(), oneRetryPartition())
	type try struct {
		payload  string
		attempt  int
		offset   int64
		id       string
		headers  string
		received time.Time
	}
	tries := make(chan try, 100)
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, Retry: messaging.RetryPolicy{
		MaxAttempts: 2, InitialWait: time.Millisecond, Delays: []time.Duration{50 * time.Millisecond, 100 * time.Millisecond},
	}})
	consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		if d.Topic != events.TopicOrders || d.Partition != 0 || d.Group != group || string(d.Key) != "key" || time.Since(d.Timestamp) > time.Minute {
			t.Errorf("got %+v", d)
		}
		tries <- try{string(d.Payload), d.Attempt, d.Offset, d.ID, strings.Join(slices.Sorted(maps.Keys(d.Headers)), " "), time.Now()}
		if string(d.Payload) == "works at the fifth try" && d.Attempt == 5 {
			return nil
		}
		return errors.New("not yet")
	})
	stop := consume(t, consumer)
	publish(t, publisher(t, kafka, messaging.PublisherOptions{}), "works at the fifth try", "never works")

	seen := map[string][]try{}
	for range 5 + 6 {
		next := receive(t, tries, "a try")
		seen[next.payload] = append(seen[next.payload], next)
	}
	for payload, want := range map[string]struct {
		offset   int64
		attempts int
	}{"works at the fifth try": {0, 5}, "never works": {1, 6}} {
		all := seen[payload]
		if len(all) != want.attempts {
			t.Fatalf("%s: %d tries", payload, len(all))
		}
		for i, got := range all {
			if got.attempt != i+1 || got.offset != want.offset || got.id != all[0].id || got.headers != all[0].headers {
				t.Errorf("%s: try %d is %+v, the first was %+v", payload, i+1, got, all[0])
			}
		}
		// The waits are lower bounds: a slow machine only makes them longer.
		if first, second := all[2].received.Sub(all[1].received), all[4].received.Sub(all[3].received); first < 45*time.Millisecond || second < 95*time.Millisecond {
			t.Errorf("%s: waited for %s and %s", payload, first, second)
		}
	}
	letter, err := events.DecodeDeadLetter(records(t, kafka, events.TopicOrdersDLQ, 1)[0].Value)
	if err != nil || letter.Attempts != 6 || letter.OriginalTopic != events.TopicOrders || letter.OriginalOffset != 1 || letter.MessageID != seen["never works"][0].id ||
		letter.ErrorClass != events.ClassTransient || letter.LastFailure.Sub(letter.FirstFailure) < 140*time.Millisecond || string(letter.OriginalMessage) != "never works" {
		t.Errorf("got %+v, %v", letter, err)
	}
	for name := range letter.Headers {
		if strings.HasPrefix(name, "millrace_") {
			t.Errorf("the dead letter has header %s of the retry topic", name)
		}
	}
	for i, record := range records(t, kafka, retryTopic, 4) {
		retry, ok, err := events.ParseRetry(headersOf(record))
		wait := retry.NotBefore.Sub(record.Timestamp)
		if err != nil || !ok || retry.Reason != events.RetryDelay || retry.Attempts != 2*retry.Delays || retry.FirstFailure.IsZero() ||
			wait > time.Duration(retry.Delays)*50*time.Millisecond || string(record.Key) != "key" {
			t.Errorf("record %d: %+v, %t, %v", i, retry, ok, err)
		}
	}
	eventually(t, "all is committed", func() bool {
		return committed(t, kafka, group, events.TopicOrders, 0) == 2 && committed(t, kafka, group, retryTopic, 0) == 4
	})
	stop()
}

// What failed waits aside: the partition goes on, and a stop need not wait for it.
func TestRetry_OthersDoNotWait(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition(), oneRetryPartition())
	worked := make(chan string, 10)
	registry := prometheus.NewRegistry()
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, Registerer: registry, Retry: messaging.RetryPolicy{
		MaxAttempts: 1, Delays: []time.Duration{time.Hour},
	}})
	var mended atomic.Bool
	handle := func(ctx context.Context, d *messaging.Delivery) error {
		if string(d.Payload) == "bad" && !mended.Load() {
			return errors.New("not yet")
		}
		worked <- string(d.Payload)
		return nil
	}
	consumer.Handle(events.TopicOrders, handle)
	stop := consume(t, consumer)
	publish(t, publisher(t, kafka, messaging.PublisherOptions{}), "bad", "good")
	if got := receive(t, worked, "the message behind"); got != "good" {
		t.Errorf("got %s", got)
	}
	if sum := metric(t, registry, "messaging_processed_messages_total", "outcome", "delayed"); sum != 1 {
		t.Errorf("%v messages are counted as delayed", sum)
	}
	// Later ones of the retry topic do not wait for it either, whichever lies first.
	produce(t, kafka, again("redriven", events.Retry{Reason: events.RetryRedrive, RedriveID: "r"}))
	if got := receive(t, worked, "the redriven message"); got != "redriven" {
		t.Errorf("got %s", got)
	}
	started := time.Now()
	stop()
	if took := time.Since(started); took > 20*time.Second { // far less than the wait
		t.Errorf("the stop took %s", took)
	}
	if n := committed(t, kafka, group, retryTopic, 0); n > 0 {
		t.Errorf("offset %d of the retry topic is committed: it steps over what waits", n)
	}
}

// What waits in memory is not lost with it.
func TestRetry_WaitsAreKeptAcrossARestart(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition(), oneRetryPartition())
	due := time.Now().Add(5 * time.Second).Truncate(time.Millisecond)
	produce(t, kafka,
		again("later", events.Retry{Reason: events.RetryDelay, Attempts: 3, Delays: 1, NotBefore: due}),
		again("now", events.Retry{Reason: events.RetryDelay, Attempts: 3, Delays: 1}))
	worked := make(chan string, 10)
	run := func() (stop func()) {
		consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka})
		consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
			if string(d.Payload) == "later" && time.Now().Before(due) {
				t.Error("came too early")
			}
			worked <- string(d.Payload)
			return nil
		})
		return consume(t, consumer)
	}
	stop := run()
	// On a slow machine both may be due by now.
	seen := map[string]bool{receive(t, worked, "the one that is due"): true}
	stop()
	stop = run()
	// The offset is the lowest unfinished one, so "now" comes again and the inbox has to
	// drop it.
	for !seen["now"] || !seen["later"] {
		seen[receive(t, worked, "the one that waits")] = true
	}
	eventually(t, "all is committed", func() bool { return committed(t, kafka, group, retryTopic, 0) == 2 })
	stop()
}

// A record that waits for long does not keep the offset from moving for ever.
func TestRetry_TheOffsetMovesPastALongWait(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition(), oneRetryPartition())
	const others = 2200 // more than are kept beyond one that is not finished
	all := []*kgo.Record{again("waits", events.Retry{Reason: events.RetryDelay, Attempts: 3, Delays: 1, NotBefore: time.Now().Add(time.Hour)})}
	for i := range others {
		all = append(all, again(strconv.Itoa(i), events.Retry{Reason: events.RetryRedrive, RedriveID: "r"}))
	}
	produce(t, kafka, all...)
	var worked atomic.Int64
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka})
	consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		worked.Add(1)
		return nil
	})
	stop := consume(t, consumer)
	eventually(t, "all others are processed", func() bool { return worked.Load() >= others })
	last := records(t, kafka, retryTopic, others+2)[others+1]
	first, _, _ := events.ParseRetry(headersOf(all[0]))
	moved, ok, err := events.ParseRetry(headersOf(last))
	if err != nil || !ok || moved != first || string(last.Value) != "waits" {
		t.Errorf("the last record is %s with %+v, %v; want %+v", last.Value, moved, err, first)
	}
	eventually(t, "the offset moves", func() bool { return committed(t, kafka, group, retryTopic, 0) > others })
	stop()
}

func TestRetry_RecordsThatAreNoneBecomeDeadLetters(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition(), oneRetryPartition())
	fine := events.Retry{Reason: events.RetryRedrive, Topic: events.TopicOrders, Group: group, RedriveID: "r"}
	with := func(name, value string) *kgo.Record {
		record := again(name+"="+value, fine)
		record.Headers = slices.DeleteFunc(record.Headers, func(h kgo.RecordHeader) bool { return h.Key == name })
		if value != "" {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
		return record
	}
	wants := map[string]string{
		events.HeaderRetryReason + "=":                   "header millrace_retry_reason is absent, it must be there in a retry topic",
		events.HeaderRetryReason + "=bored":              `header millrace_retry_reason is "bored"`,
		events.HeaderOriginalTopic + "=payments":         `header millrace_original_topic is "payments", it must be orders in this retry topic`,
		events.HeaderGroup + "=another":                  `header millrace_group is "another", it must be test-group in this retry topic`,
		events.HeaderAttempts + "=-1":                    `header millrace_attempts is "-1"`,
		events.HeaderNotBefore + "=never":                `header millrace_not_before is "never"`,
		events.HeaderNotBefore + "=2999-01-01T00:00:00Z": `header millrace_not_before is "2999-01-01T00:00:00Z", it must be at most 24h0m0s ahead`,
	}
	for change := range wants {
		name, value, _ := strings.Cut(change, "=")
		produce(t, kafka, with(name, value))
	}
	worked := make(chan string, 10)
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka})
	consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		worked <- string(d.Payload)
		return nil
	})
	stop := consume(t, consumer)
	for _, record := range records(t, kafka, events.TopicOrdersDLQ, len(wants)) {
		letter, err := events.DecodeDeadLetter(record.Value)
		if err != nil {
			t.Fatal(err)
		}
		want := wants[string(letter.OriginalMessage)]
		if want == "" || !strings.Contains(letter.Error, want) || letter.ErrorClass != events.ClassUnreadable ||
			letter.OriginalTopic != retryTopic || letter.Attempts != 0 || letter.Headers["event_type"] == "" {
			t.Errorf("%s: got %+v\nwant %q", letter.OriginalMessage, letter, want)
		}
		delete(wants, string(letter.OriginalMessage))
	}
	produce(t, kafka, again("given up", events.Retry{Reason: events.RetryDiscard}), again("fine", fine))
	if got := receive(t, worked, "the one that is fine"); got != "fine" {
		t.Errorf("the handler got %s", got)
	}
	stop()
}

// A redriven message that fails again has all its waits before it.
func TestRetry_ARedriveStartsTheWaitsAnew(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition(), oneRetryPartition())
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, Retry: messaging.RetryPolicy{
		MaxAttempts: 1, Delays: []time.Duration{10 * time.Millisecond, 20 * time.Millisecond},
	}})
	consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error { return errors.New("still not") })
	stop := consume(t, consumer)
	failure := time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
	produce(t, kafka, again("a", events.Retry{
		Reason: events.RetryRedrive, Attempts: 3, FirstFailure: failure, RedriveID: "redrive-1",
		RedriveTraceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}))
	letter, err := events.DecodeDeadLetter(records(t, kafka, events.TopicOrdersDLQ, 1)[0].Value)
	if err != nil || letter.Attempts != 6 || !letter.FirstFailure.Equal(failure) || letter.OriginalOffset != 41 || letter.MessageID != "id of a" {
		t.Errorf("got %+v, %v", letter, err)
	}
	for i, record := range records(t, kafka, retryTopic, 3)[1:] {
		retry, _, err := events.ParseRetry(headersOf(record))
		if err != nil || retry.Delays != i+1 || retry.RedriveID != "redrive-1" || retry.RedriveTraceparent == "" {
			t.Errorf("wait %d: %+v, %v", i+1, retry, err)
		}
	}
	stop()
}

func TestRetry_KeepsWhatTheRetryTopicDoesNotTake(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition())
	broken := &brokenPublisher{}
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, DeadLetters: broken, Retry: messaging.RetryPolicy{
		MaxAttempts: 1, Delays: []time.Duration{10 * time.Millisecond},
	}})
	consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error { return errors.New("boom") })
	stop := consume(t, consumer)
	publish(t, publisher(t, kafka, messaging.PublisherOptions{}), "a")
	eventually(t, "several tries to write", func() bool { return broken.calls.Load() >= 3 })
	stop()
	if n := committed(t, kafka, group, events.TopicOrders, 0); n > 0 {
		t.Errorf("committed %d", n)
	}
}

// A permanent error and a panic say that waiting is of no use.
func TestRetry_HopelessMessagesDoNotWait(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition(), oneRetryPartition())
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, Retry: messaging.RetryPolicy{Delays: []time.Duration{time.Hour}}})
	consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		if string(d.Payload) == "panics" {
			panic("bug")
		}
		return messaging.Permanent(errors.New("hopeless"))
	})
	stop := consume(t, consumer)
	publish(t, publisher(t, kafka, messaging.PublisherOptions{}), "panics", "is hopeless")
	for i, record := range records(t, kafka, events.TopicOrdersDLQ, 2) {
		letter, err := events.DecodeDeadLetter(record.Value)
		if err != nil || letter.Attempts != 1 || letter.ErrorClass != []events.ErrorClass{events.ClassPanic, events.ClassPermanent}[i] {
			t.Errorf("got %+v, %v", letter, err)
		}
	}
	stop()
}

// A foreign record keeps every byte on its way through the retry topic.
func TestRetry_EveryByteComesBack(t *testing.T) {
	t.Parallel()
	kafka := broker(t, onePartition(), oneRetryPartition())
	odd := &kgo.Record{Topic: events.TopicOrders, Key: []byte{0xff, 0}, Value: []byte{0, 0xfe}, Headers: []kgo.RecordHeader{
		{Key: "binary", Value: []byte{0xff, 0}}, {Key: events.HeaderRedriveID, Value: []byte("of another")},
	}}
	none := &kgo.Record{Topic: events.TopicOrders}
	produce(t, kafka, odd, none)
	var mu sync.Mutex
	got := map[int64][]messaging.Delivery{}
	consumer := newConsumer(t, messaging.ConsumerConfig{Kafka: kafka, Retry: messaging.RetryPolicy{MaxAttempts: 1, Delays: []time.Duration{10 * time.Millisecond}}})
	consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		got[d.Offset] = append(got[d.Offset], *d)
		if d.Attempt == 1 {
			return errors.New("once more")
		}
		return nil
	})
	stop := consume(t, consumer)
	eventually(t, "both come twice", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got[0]) == 2 && len(got[1]) == 2
	})
	stop()
	for offset, twice := range got {
		first, second := twice[0], twice[1]
		if !slices.Equal(first.Key, second.Key) || (first.Key == nil) != (second.Key == nil) || !slices.Equal(first.Payload, second.Payload) ||
			first.ID != second.ID || !first.Timestamp.Equal(second.Timestamp) || first.Partition != second.Partition {
			t.Errorf("offset %d: first %+v, then %+v", offset, first, second)
		}
		if second.Headers["binary"] != first.Headers["binary"] {
			t.Errorf("headers %q, then %q", first.Headers, second.Headers)
		}
	}
}

// metric sums a metric's samples that have a label.
func metric(t *testing.T, registry *prometheus.Registry, name, label, value string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
				}
			}
		}
	}
	return sum
}
