package parking_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/pkg/messaging/inbox"
	"millrace/pkg/messaging/parking"
	"millrace/pkg/postgres"
	"millrace/pkg/postgres/postgrestest"
	"millrace/pkg/service/servicetest"
)

const group = events.GroupInventory

var retryTopic = events.RetryTopic(events.TopicOrders, group)

// shop is a consumer of topic orders whose effects are rows, in the order in which they
// were made.
type shop struct {
	kafka messaging.Config
	pool  *pgxpool.Pool
	logs  servicetest.Logs

	mu   sync.Mutex
	fail func(d *messaging.Delivery) error
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{kafka: servicetest.Broker(t), pool: postgrestest.New(t, inbox.Migrations, parking.Migrations)}
	if _, err := s.pool.Exec(t.Context(), `CREATE TABLE effects (n bigserial PRIMARY KEY, key text, payload text)`); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shop) failing(fail func(d *messaging.Delivery) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func (s *shop) handle(ctx context.Context, d *messaging.Delivery) error {
	s.mu.Lock()
	err := s.fail(d)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return postgres.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		isNew, err := inbox.Insert(ctx, tx, d.Group, d.ID)
		if err != nil || !isNew {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO effects (key, payload) VALUES ($1, $2)`, string(d.Key), string(d.Payload))
		return err
	})
}

// run starts a consumer and returns what stops it.
func (s *shop) run(t *testing.T, delays ...time.Duration) (stop func()) {
	t.Helper()
	publisher, err := messaging.NewPublisher(s.kafka, messaging.PublisherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := messaging.NewConsumer(messaging.ConsumerConfig{
		Kafka: s.kafka, Group: group, DeadLetters: publisher, Parking: parking.NewStore(s.pool),
		Retry:  messaging.RetryPolicy{MaxAttempts: 1, Delays: delays},
		Logger: slog.New(slog.NewTextHandler(&s.logs, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	consumer.Handle(events.TopicOrders, s.handle)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- consumer.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-done, publisher.Close()); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func (s *shop) publish(t *testing.T, keysAndPayloads ...string) {
	t.Helper()
	var records []*kgo.Record
	for _, text := range keysAndPayloads {
		key, _, _ := strings.Cut(text, " ")
		records = append(records, &kgo.Record{
			Topic: events.TopicOrders, Key: []byte(key), Value: []byte(text),
			Headers: []kgo.RecordHeader{{Key: events.HeaderMessageID, Value: []byte("id of " + text)}},
		})
	}
	s.produce(t, records...)
}

func (s *shop) produce(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.kafka.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// redrive sends a dead letter to its group again, as `millrace dlq redrive` does.
func redrive(letter events.DeadLetter, reason events.RetryReason) *kgo.Record {
	record := &kgo.Record{Topic: events.RetryTopic(letter.OriginalTopic, letter.Group), Key: letter.OriginalKey, Value: letter.OriginalMessage}
	retry := events.Retry{
		Reason: reason, Topic: letter.OriginalTopic, Partition: letter.OriginalPartition, Offset: letter.OriginalOffset,
		Timestamp: letter.OriginalTimestamp, Group: letter.Group, Attempts: letter.Attempts, FirstFailure: letter.FirstFailure, RedriveID: "r-1",
	}
	for _, headers := range []map[string]string{letter.Headers, {events.HeaderMessageID: letter.MessageID}, retry.Headers()} {
		for name, value := range headers {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
	}
	return record
}

func (s *shop) letters(t *testing.T, n int) []events.DeadLetter {
	t.Helper()
	var letters []events.DeadLetter
	for _, record := range servicetest.Records(t, s.kafka, events.TopicOrdersDLQ, n) {
		letter, err := events.DecodeDeadLetter(record.Value)
		if err != nil {
			t.Fatal(err)
		}
		letters = append(letters, letter)
	}
	return letters
}

// effects returns the effects of a key in their order.
func (s *shop) effects(t *testing.T, key string) string {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), `SELECT payload FROM effects WHERE key = $1 ORDER BY n`, key)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, ", ")
}

func (s *shop) waitFor(t *testing.T, key, want string) {
	t.Helper()
	servicetest.Eventually(t, "the effects of "+key+" are "+want, func() bool { return s.effects(t, key) == want },
		func() string { return "they are " + s.effects(t, key) })
}

func (s *shop) waitForRows(t *testing.T, want int) {
	t.Helper()
	var n int
	servicetest.Eventually(t, fmt.Sprintf("%d messages are put aside", want), func() bool {
		return s.pool.QueryRow(t.Context(), `SELECT count(*) FROM parked_messages`).Scan(&n) == nil && n == want
	}, func() string { return strconv.Itoa(n) })
}

// The messages of a key that come after one that waits, wait behind it; those of other
// keys go on.
func TestParking_KeepsTheOrderOfAKeyThroughTheDelayedTier(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.failing(func(d *messaging.Delivery) error {
		if string(d.Payload) == "a 1" && d.Attempt < 3 || string(d.Payload) == "a 3" && d.Attempt < 2 {
			return errors.New("not yet")
		}
		return nil
	})
	stop := s.run(t, 50*time.Millisecond, 300*time.Millisecond)
	s.publish(t, "a 1", "a 2", "b 1", "a 3", "b 2", "a 4", "a 5")
	s.waitFor(t, "b", "b 1, b 2")
	s.waitFor(t, "a", "a 1, a 2, a 3, a 4, a 5")
	s.waitForRows(t, 0)
	s.publish(t, "a 6")
	s.waitFor(t, "a", "a 1, a 2, a 3, a 4, a 5, a 6")
	stop()
	reasons := map[events.RetryReason]int{}
	for _, record := range servicetest.Records(t, s.kafka, retryTopic, 7) {
		headers := map[string]string{}
		for _, h := range record.Headers {
			headers[h.Key] = string(h.Value)
		}
		retry, _, err := events.ParseRetry(headers)
		if err != nil {
			t.Fatal(err)
		}
		reasons[retry.Reason]++
	}
	if reasons[events.RetryDelay] < 3 || reasons[events.RetryParked] < 4 { // a 1 twice, a 3; a 2 to a 5
		t.Errorf("the retry topic had %v", reasons)
	}
}

// What comes after a dead letter of its key is a dead letter too, so that a redrive
// brings all back in their order; to redrive one alone does not break it.
func TestParking_KeepsTheOrderOfAKeyThroughDeadLetters(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.failing(func(d *messaging.Delivery) error {
		if string(d.Payload) == "a 1" {
			return messaging.Permanent(errors.New("broken"))
		}
		return nil
	})
	stop := s.run(t)
	s.publish(t, "a 1", "a 2", "b 1", "a 3")
	letters := s.letters(t, 3)
	for i, want := range []struct {
		payload  string
		class    events.ErrorClass
		attempts int
	}{{"a 1", events.ClassPermanent, 1}, {"a 2", events.ClassParked, 0}, {"a 3", events.ClassParked, 0}} {
		got := letters[i]
		if string(got.OriginalMessage) != want.payload || got.ErrorClass != want.class || got.Attempts != want.attempts ||
			i > 0 && !strings.Contains(got.Error, fmt.Sprintf("an earlier message of its key is a dead letter: orders/%d/%d", got.OriginalPartition, letters[0].OriginalOffset)) {
			t.Errorf("letter %d: %+v", i, got)
		}
	}
	s.waitFor(t, "b", "b 1")
	s.waitForRows(t, 3)

	s.failing(func(*messaging.Delivery) error { return nil }) // mended
	s.produce(t, redrive(letters[1], events.RetryRedrive))
	letters = s.letters(t, 4)
	if last := letters[3]; string(last.OriginalMessage) != "a 2" || last.ErrorClass != events.ClassParked {
		t.Errorf("a redrive of the second one: %+v", last)
	}
	if got := s.effects(t, "a"); got != "" {
		t.Errorf("a redrive of the second one has overtaken the first: %s", got)
	}
	s.produce(t, redrive(letters[0], events.RetryRedrive), redrive(letters[3], events.RetryRedrive), redrive(letters[2], events.RetryRedrive))
	s.waitFor(t, "a", "a 1, a 2, a 3")
	s.waitForRows(t, 0)
	s.publish(t, "a 4")
	s.waitFor(t, "a", "a 1, a 2, a 3, a 4")
	stop()
}

// Who gives a dead letter up lets those behind it go on.
func TestParking_ADiscardFreesTheKey(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.failing(func(d *messaging.Delivery) error {
		if string(d.Payload) == "a 1" {
			return messaging.Permanent(errors.New("broken"))
		}
		return nil
	})
	stop := s.run(t)
	s.publish(t, "a 1", "a 2")
	letters := s.letters(t, 2)
	s.produce(t, redrive(letters[0], events.RetryDiscard), redrive(letters[1], events.RetryRedrive))
	s.waitFor(t, "a", "a 2")
	s.waitForRows(t, 0)
	stop()
}

// Without a database nobody knows whether a message may go on: it stays where it is.
func TestParking_WithoutItsDatabaseNothingOvertakes(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	if _, err := s.pool.Exec(t.Context(), `ALTER TABLE parked_messages RENAME TO away`); err != nil {
		t.Fatal(err)
	}
	s.failing(func(*messaging.Delivery) error { return nil })
	stop := s.run(t)
	s.publish(t, "a 1", "a 2")
	servicetest.Eventually(t, "the consumer says what it lacks", func() bool {
		return strings.Contains(s.logs.String(), "the message waits") && strings.Contains(s.logs.String(), "parked_messages")
	}, s.logs.String)
	if got := s.effects(t, "a"); got != "" {
		t.Errorf("went on: %s", got)
	}
	if _, err := s.pool.Exec(t.Context(), `ALTER TABLE away RENAME TO parked_messages`); err != nil {
		t.Fatal(err)
	}
	s.waitFor(t, "a", "a 1, a 2")
	stop()
}

// Two instances, messages that fail at random, restarts in the middle: every key keeps
// its order, every effect is there once.
func TestParking_OrderUnderRestartsAndTwoInstances(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.failing(func(d *messaging.Delivery) error {
		// By its place, so that each fails the same in every run: a third, once or twice.
		if n := d.Offset % 6; n < 2 && d.Attempt <= int(n)+1 {
			return errors.New("not yet")
		}
		return nil
	})
	const keys, perKey = 8, 6
	first := s.run(t, 50*time.Millisecond, 100*time.Millisecond)
	second := s.run(t, 50*time.Millisecond, 100*time.Millisecond)
	wants := map[string]string{}
	for i := range perKey {
		var batch []string
		for k := range keys {
			key := fmt.Sprintf("k%d", k)
			text := fmt.Sprintf("%s %d", key, i)
			batch = append(batch, text)
			wants[key] = strings.TrimPrefix(wants[key]+", "+text, ", ")
		}
		s.publish(t, batch...)
		switch i {
		case 1:
			first()
		case 3:
			first = s.run(t, 50*time.Millisecond, 100*time.Millisecond)
		}
	}
	for key, want := range wants {
		s.waitFor(t, key, want)
	}
	s.waitForRows(t, 0)
	first()
	second()
}
