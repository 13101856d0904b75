package replay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/pkg/messaging/replay"
	"millrace/pkg/service/servicetest"
)

var items = []events.Item{{ProductID: "kettle", Quantity: 1}}

func order(id string) events.OrderCreated {
	return events.OrderCreated{OrderID: id, CustomerID: "c", Items: items, Total: 100, Timestamp: time.Unix(1_800_000_000, 0).UTC()}
}

// ticks is a clock that goes on by itself, so that each record has a time of its own.
var ticks atomic.Int64

func now() time.Time { return time.UnixMilli(1_800_000_000_000 + ticks.Add(1)) }

// oneKey puts a record about an order on the partition of "key" and returns it.
func oneKey(t *testing.T, c messaging.Config, e events.Event, messageID string, more map[string]string) *kgo.Record {
	t.Helper()
	payload, err := events.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	r := &kgo.Record{Topic: e.Topic(), Key: []byte("key"), Value: payload}
	if messageID != "" {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: events.HeaderMessageID, Value: []byte(messageID)})
	}
	for name, value := range more {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	servicetest.PublishRecord(t, c, r)
	return r
}

// again puts a record into a group's retry topic.
func again(t *testing.T, c messaging.Config, original *kgo.Record, group string, reason events.RetryReason, e events.Event) *kgo.Record {
	t.Helper()
	r := &kgo.Record{Timestamp: now(), Topic: events.RetryTopic(original.Topic, group), Key: original.Key, Value: original.Value, Headers: slices.Clone(original.Headers)}
	if e != nil {
		var err error
		if r.Value, err = events.Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range (events.Retry{Reason: reason, Topic: original.Topic, Partition: original.Partition, Offset: original.Offset, Group: group}).Headers() {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	servicetest.PublishRecord(t, c, r)
	return r
}

// bury makes a dead letter of a record.
func bury(t *testing.T, c messaging.Config, original *kgo.Record, group string) {
	t.Helper()
	letter := events.DeadLetter{
		OriginalMessage: original.Value, Error: "gone", OriginalTopic: original.Topic, OriginalPartition: original.Partition, OriginalOffset: original.Offset, Group: group,
	}
	for _, h := range original.Headers {
		if h.Key == events.HeaderMessageID {
			letter.MessageID = string(h.Value)
		}
	}
	payload, err := events.EncodeDeadLetter(letter)
	if err != nil {
		t.Fatal(err)
	}
	servicetest.PublishRecord(t, c, &kgo.Record{Timestamp: now(), Topic: events.DeadLetterTopic(original.Topic), Key: []byte("key"), Value: payload})
}

func open(t *testing.T, c replay.Config) *replay.Replay {
	t.Helper()
	r, err := replay.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func accept(replay.Record) error { return nil }

func nothing(context.Context) error { return nil }

// What became of a message is told by the group's offset, its dead letters and its retry
// topic together.
func TestRun_TellsWhatWasHandled(t *testing.T) {
	t.Parallel()
	c, group := servicetest.Broker(t), events.GroupNotification
	publish := func(id string) *kgo.Record { return oneKey(t, c, order(id), "m-"+id, nil) }
	publish("handled")
	bury(t, c, publish("dead"), group)
	bury(t, c, publish("dead-of-others"), events.GroupInventory)
	redriven, deadAgain := publish("redriven"), publish("dead-again")
	bury(t, c, redriven, group)
	bury(t, c, deadAgain, group)
	foreign := oneKey(t, c, order("foreign"), "", nil)
	bury(t, c, foreign, group)
	delayed, edited := publish("delayed"), publish("edited")
	bury(t, c, edited, group)
	again(t, c, redriven, group, events.RetryRedrive, nil)
	again(t, c, deadAgain, group, events.RetryRedrive, nil)
	again(t, c, edited, group, events.RetryRedrive, order("edited-otherwise"))
	last := again(t, c, delayed, group, events.RetryDelay, nil)
	servicetest.Commit(t, c, group, last.Topic, last.Partition, last.Offset+1)
	bury(t, c, deadAgain, group)
	again(t, c, publish("waiting"), group, events.RetryDelay, nil) // beyond the offset
	end := publish("to-come")
	servicetest.Commit(t, c, group, events.TopicOrders, end.Partition, end.Offset)

	var got []string
	take := func(_ context.Context, batch []replay.Record) error {
		for _, r := range batch {
			got = append(got, fmt.Sprintf("%s %s %v %v", r.ID, r.Event.Key(), r.Handled, r.Unfinished))
		}
		return nil
	}
	r := open(t, replay.Config{Kafka: c, Group: group})
	report, err := r.Run(t.Context(), []replay.Step{{Topic: events.TopicOrders, ToEnd: true, Accept: accept, Apply: take}}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		// from the retry topic: those that were looked at …
		"m-redriven redriven true false",
		"m-dead-again dead-again false true",
		"m-edited edited-otherwise true false",
		"m-delayed delayed true false",
		// … and the topic itself
		"m-handled handled true false",
		"m-dead dead false true",
		"m-dead-of-others dead-of-others true false",
		"m-redriven redriven true false",
		"m-dead-again dead-again false true",
		fmt.Sprintf("orders/%d/%d foreign false true", foreign.Partition, foreign.Offset),
		"m-delayed delayed true false",
		"m-edited edited true false",
		"m-waiting waiting false true",
		"m-to-come to-come false false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if report.Unfinished != 4 {
		t.Errorf("%d unfinished, want dead, dead-again, foreign and waiting", report.Unfinished)
	}
}

// The earliest record that has to come again decides, in each partition; a dry run only
// says so.
func TestRun_SetsOffsetsLast(t *testing.T) {
	t.Parallel()
	c, group := servicetest.Broker(t), events.GroupInventory
	var partition int32
	for i := range 5 {
		partition = oneKey(t, c, order(fmt.Sprint("o-", i)), fmt.Sprint("m-", i), nil).Partition
	}
	servicetest.Commit(t, c, group, events.TopicOrders, partition, 4)
	place := fmt.Sprintf("%s/%d", events.TopicOrders, partition)
	for _, dryRun := range []bool{true, false} {
		r := open(t, replay.Config{Kafka: c, Group: group, DryRun: dryRun})
		report, err := r.Run(t.Context(), []replay.Step{{Topic: events.TopicOrders, ToEnd: true, Accept: accept, Apply: func(_ context.Context, batch []replay.Record) error {
			for _, i := range []int{3, 1, 2, 4} { // the last is still to come: nothing to set back for it
				r.Again(batch[i])
			}
			if at := servicetest.Committed(t, c, group)[place]; at != 4 {
				t.Errorf("the offset was set to %d before all was read", at)
			}
			return nil
		}}}, nothing)
		if err != nil || report.Redelivered != 3 {
			t.Errorf("redelivered %d, %v", report.Redelivered, err)
		}
		if at, want := servicetest.Committed(t, c, group)[place], map[bool]int64{true: 4, false: 1}[dryRun]; at != want {
			t.Errorf("dry run %v: the group stands at %d, want %d", dryRun, at, want)
		}
	}
}

// A failure on the way leaves the offsets where they were.
func TestRun_FailureSetsNothing(t *testing.T) {
	t.Parallel()
	c, group := servicetest.Broker(t), events.GroupInventory
	partition := oneKey(t, c, order("o"), "m", nil).Partition
	servicetest.Commit(t, c, group, events.TopicOrders, partition, 1)
	away := errors.New("database is away")
	r := open(t, replay.Config{Kafka: c, Group: group})
	_, err := r.Run(t.Context(), []replay.Step{{Topic: events.TopicOrders, Accept: accept, Apply: func(_ context.Context, batch []replay.Record) error {
		r.Again(batch[0])
		return away
	}}}, nothing)
	if !errors.Is(err, away) {
		t.Errorf("%v", err)
	}
	if at := servicetest.Committed(t, c, group)[fmt.Sprintf("%s/%d", events.TopicOrders, partition)]; at != 1 {
		t.Errorf("the group stands at %d", at)
	}
}

// One record that the database refuses costs that record, not its batch.
func TestRun_LeavesOutWhatIsRefused(t *testing.T) {
	t.Parallel()
	c := servicetest.Broker(t)
	const n = 50
	for i := range n {
		oneKey(t, c, order(fmt.Sprint("o-", i)), fmt.Sprint("m-", i), nil)
	}
	var taken []string
	calls := 0
	r := open(t, replay.Config{Kafka: c, Group: events.GroupOrder, Own: []string{events.TopicOrders}})
	report, err := r.Run(t.Context(), []replay.Step{{Topic: events.TopicOrders, Accept: accept, Apply: func(_ context.Context, batch []replay.Record) error {
		calls++
		for _, record := range batch {
			if record.ID == "m-7" || record.ID == "m-31" {
				return fmt.Errorf("store: %w", &pgconn.PgError{Code: "22021", Message: "invalid byte sequence"})
			}
		}
		for _, record := range batch {
			taken = append(taken, record.ID)
		}
		return nil
	}}}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	if len(taken) != n-2 || report.SkippedFor(replay.Refused) != 2 || calls > 30 || !slices.IsSortedFunc(taken, func(a, b string) int { return number(a) - number(b) }) {
		t.Errorf("%d taken by %d calls in the order %v; skipped %+v", len(taken), calls, taken, report.Skipped)
	}
}

func number(id string) (n int) {
	_, _ = fmt.Sscanf(id, "m-%d", &n)
	return n
}

// What was on its way to the service's own topic is read, too; a topic that never stops
// growing has somebody who writes it.
func TestRun_FollowsItsOwnTopic(t *testing.T) {
	t.Parallel()
	for name, stops := range map[string]bool{"stops": true, "grows": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := servicetest.Broker(t)
			oneKey(t, c, order("o-0"), "m-0", nil)
			r := open(t, replay.Config{Kafka: c, Group: events.GroupOrder, Own: []string{events.TopicOrders}})
			seen := 0
			_, err := r.Run(t.Context(), []replay.Step{{Topic: events.TopicOrders, Accept: accept, Apply: func(_ context.Context, batch []replay.Record) error {
				seen += len(batch)
				if seen < 3 || !stops {
					oneKey(t, c, order(fmt.Sprint("o-", seen)), fmt.Sprint("m-", seen), nil)
				}
				return nil
			}}}, nothing)
			if stops && (err != nil || seen != 3) || !stops && (err == nil || !strings.Contains(err.Error(), "stop all of its instances")) {
				t.Errorf("%d seen, %v", seen, err)
			}
		})
	}
}

// deleteTo deletes the records of a partition before an offset, as retention does.
func deleteTo(t *testing.T, c messaging.Config, topic string, partition int32, offset int64) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	request := kmsg.NewPtrDeleteRecordsRequest()
	of := kmsg.NewDeleteRecordsRequestTopic()
	of.Topic = topic
	at := kmsg.NewDeleteRecordsRequestTopicPartition()
	at.Partition, at.Offset = partition, offset
	of.Partitions = append(of.Partitions, at)
	request.Topics = append(request.Topics, of)
	if _, err := request.RequestWith(t.Context(), client); err != nil {
		t.Fatal(err)
	}
}

// A log that has lost its beginning is refused by what it lacks, or reported if that is
// wanted; a start behind the loss is fine.
func TestOpen_Gaps(t *testing.T) {
	t.Parallel()
	c, group := servicetest.Broker(t), events.GroupNotification
	var last *kgo.Record
	for i := range 4 {
		last = oneKey(t, c, order(fmt.Sprint("o-", i)), fmt.Sprint("m-", i), nil)
	}
	deleteTo(t, c, events.TopicOrders, last.Partition, 2)
	var gap *replay.GapError
	_, err := replay.Open(t.Context(), replay.Config{Kafka: c, Group: group})
	if !errors.As(err, &gap) || len(gap.Gaps) != 1 || gap.Gaps[0] != (replay.Gap{Topic: events.TopicOrders, Partition: last.Partition, From: 0, To: 2}) ||
		!strings.Contains(err.Error(), fmt.Sprintf("orders/%d lacks the offsets 0 to 1", last.Partition)) {
		t.Errorf("%v", err)
	}
	report, err := open(t, replay.Config{Kafka: c, Group: group, AllowGaps: true}).Run(t.Context(), nil, nothing)
	if err != nil || len(report.Gaps) != 1 {
		t.Errorf("%+v, %v", report.Gaps, err)
	}
	for text, want := range map[string]string{
		fmt.Sprintf("orders/%d:2", last.Partition): "",
		fmt.Sprintf("orders/%d:3", last.Partition): "",
		fmt.Sprintf("orders/%d:1", last.Partition): "is not in the log, which has 2 to 4",
		fmt.Sprintf("orders/%d:5", last.Partition): "is not in the log, which has 2 to 4",
		"orders/17:0": "names a partition that group notification-service does not read",
		"clicks/0:0":  "names a partition that group notification-service does not read",
		"3":           "is not in the log", // the other partitions are empty
		time.Now().Add(-time.Hour).UTC().Format(time.RFC3339): "lacks the offsets 0 to 1",
		time.Now().Add(time.Hour).UTC().Format(time.RFC3339):  "",
	} {
		from, err := replay.ParseFrom(text)
		if err != nil {
			t.Fatal(err)
		}
		r, err := replay.Open(t.Context(), replay.Config{Kafka: c, Group: group, From: from})
		if err == nil {
			err = r.Close()
		}
		if (err == nil) != (want == "") || want != "" && !strings.Contains(err.Error(), want) {
			t.Errorf("from %s: %v, want %q", text, err, want)
		}
	}
}

func TestOpen_RefusesAnotherBroker(t *testing.T) {
	t.Parallel()
	c, group := servicetest.Broker(t), events.GroupInventory
	partition := oneKey(t, c, order("o"), "m", nil).Partition
	servicetest.Commit(t, c, group, events.TopicOrders, partition, 7)
	var outside *replay.RangeError
	if _, err := replay.Open(t.Context(), replay.Config{Kafka: c, Group: group}); !errors.As(err, &outside) || !strings.Contains(err.Error(), "committed offset 7") {
		t.Errorf("an offset beyond the end: %v", err)
	}
	c.Brokers = []string{"127.0.0.1:1"}
	if _, err := replay.Open(t.Context(), replay.Config{Kafka: c, Group: group}); err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Errorf("nobody there: %v", err)
	}
}

// Whoever has cancelled gets an end soon, and no offset is touched.
func TestRun_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := servicetest.Broker(t)
	oneKey(t, c, order("o"), "m", nil)
	ctx, cancel := context.WithCancel(t.Context())
	r := open(t, replay.Config{Kafka: c, Group: events.GroupOrder, Own: []string{events.TopicOrders}})
	_, err := r.Run(ctx, []replay.Step{{Topic: events.TopicOrders, Accept: accept, Apply: func(ctx context.Context, _ []replay.Record) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}}}, nothing)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
