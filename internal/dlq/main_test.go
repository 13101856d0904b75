package dlq_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"millrace/broker/brokertest"
	"millrace/internal/dlq"
	"millrace/pkg/events"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVar) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m)
}

// patience bounds every wait.
const patience = 2 * time.Minute

// external names brokers to test against instead of ours, as for tests/compat.
var external = os.Getenv("MILLRACE_COMPAT_BROKERS")

// kafka is a broker with topics of one test.
type kafka struct {
	t       *testing.T
	brokers []string
	client  *kgo.Client
	admin   *kadm.Client
}

func start(t *testing.T) *kafka {
	t.Helper()
	k := &kafka{t: t}
	if external != "" {
		k.brokers = strings.Split(external, ",")
	} else {
		k.brokers = []string{brokertest.Start(t).Addr}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(k.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(16<<20), kgo.BrokerMaxWriteBytes(32<<20))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	k.client, k.admin = client, kadm.NewClient(client)
	return k
}

func (k *kafka) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	k.t.Cleanup(cancel)
	return ctx
}

// topic makes a topic with a name that nobody else has, of four partitions, and its dead
// letter topic.
func (k *kafka) topic() string {
	k.t.Helper()
	name := "t-" + strings.ToLower(rand.Text()[:10])
	k.create(name, 4)
	k.create(name+"-dlq", 4)
	return name
}

func (k *kafka) create(name string, partitions int32) {
	k.t.Helper()
	largest := "12000000"
	if _, err := k.admin.CreateTopic(k.ctx(), partitions, 1, map[string]*string{"max.message.bytes": &largest}, name); err != nil {
		k.t.Fatalf("create %s: %v", name, err)
	}
	for deadline := time.Now().Add(patience); ; { // the broker hears of it a little later
		ends, err := k.admin.ListEndOffsets(k.ctx(), name)
		if err == nil && ends.Error() == nil {
			break
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("%s: %v, %v", name, err, ends.Error())
		}
	}
	k.t.Cleanup(func() {
		if external != "" {
			_, _ = k.admin.DeleteTopic(context.Background(), name)
		}
	})
}

// shortLease is for tests that wait until a lease is over. Half of it has to be enough for
// a chunk on a slow machine.
const shortLease = 6 * time.Second

func withLease(d time.Duration) func(*dlq.Config) { return func(c *dlq.Config) { c.Lease = d } }

// dlq connects a client that is at work as who.
func (k *kafka) dlq(who string, adjust ...func(*dlq.Config)) *dlq.Client {
	k.t.Helper()
	c := dlq.Config{Brokers: k.brokers, Who: who}
	for _, a := range adjust {
		a(&c)
	}
	client, err := dlq.Connect(k.ctx(), c)
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(client.Close)
	return client
}

// put writes records and returns where they lie.
func (k *kafka) put(records ...*kgo.Record) []events.LetterID {
	k.t.Helper()
	var ids []events.LetterID
	for _, r := range records {
		if err := k.client.ProduceSync(k.ctx(), r).FirstErr(); err != nil {
			k.t.Fatal(err)
		}
		ids = append(ids, events.LetterID{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset})
	}
	return ids
}

// letter writes a dead letter of a topic.
func (k *kafka) letter(topic string, adjust ...func(*events.DeadLetter)) events.LetterID {
	k.t.Helper()
	d := deadLetter(topic)
	for _, a := range adjust {
		a(&d)
	}
	payload, err := events.EncodeDeadLetter(d)
	if err != nil {
		k.t.Fatal(err)
	}
	return k.put(&kgo.Record{Topic: topic + "-dlq", Partition: d.OriginalPartition % 4, Key: d.OriginalKey, Value: payload})[0]
}

var failedAt = time.Date(2026, 11, 27, 8, 0, 0, 0, time.UTC)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func deadLetter(topic string) events.DeadLetter {
	return events.DeadLetter{
		OriginalMessage: []byte(`{"event_type":"PARCEL_SENT","n":1}`), Error: "no route", OriginalTopic: topic, OriginalPartition: 2, OriginalOffset: 41,
		Group: "billing", Attempts: 3, FirstFailure: failedAt.Add(-time.Minute), LastFailure: failedAt, ErrorClass: events.ClassTransient,
		MessageID: "m-1", OriginalKey: []byte("parcel-7"), OriginalTimestamp: failedAt.Add(-time.Hour),
		Headers:     map[string]string{"event_type": "PARCEL_SENT", "traceparent": traceparent, "x": "\xff"},
		Traceparent: traceparent,
	}
}

// records reads a whole topic.
func (k *kafka) records(topic string) []*kgo.Record {
	k.t.Helper()
	ends, err := k.admin.ListEndOffsets(k.ctx(), topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		k.t.Fatal(err)
	}
	var want int64
	ends.Each(func(o kadm.ListedOffset) { want += o.Offset })
	if want == 0 {
		return nil
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(k.brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		k.t.Fatal(err)
	}
	defer reader.Close()
	var records []*kgo.Record
	for int64(len(records)) < want {
		fetches := reader.PollFetches(k.ctx())
		if err := fetches.Err(); err != nil {
			k.t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

func headers(r *kgo.Record) map[string]string {
	m := map[string]string{}
	for _, h := range r.Headers {
		m[h.Key] = string(h.Value)
	}
	return m
}

// redrive runs a redrive and returns the results by letter.
func redrive(t *testing.T, c *dlq.Client, o dlq.RedriveOptions) (map[string]dlq.Result, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	results := map[string]dlq.Result{}
	o.Report = func(r dlq.Result) {
		if _, twice := results[r.Letter]; twice {
			t.Errorf("%s is reported twice", r.Letter)
		}
		results[r.Letter] = r
	}
	choice, err := c.Choose(ctx, &o)
	if err != nil {
		t.Fatal(err)
	}
	return results, c.Redrive(ctx, choice, o)
}

func mustRedrive(t *testing.T, c *dlq.Client, o dlq.RedriveOptions) map[string]dlq.Result {
	t.Helper()
	results, err := redrive(t, c, o)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func (k *kafka) status(c *dlq.Client, id events.LetterID) dlq.Status {
	k.t.Helper()
	f, err := c.Find(k.ctx(), id)
	if err != nil {
		k.t.Fatal(err)
	}
	return f.State.Status
}

// audits are the audit records about the letters of a topic.
func (k *kafka) audits(topic string) []events.Audit {
	k.t.Helper()
	var audits []events.Audit
	for _, r := range k.records(events.TopicDLQAudit) {
		a, err := events.DecodeAudit(r.Value)
		if err != nil {
			continue // of another test, on brokers that they share
		}
		if a.Letter.Topic == topic+"-dlq" {
			audits = append(audits, a)
		}
	}
	return audits
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(err)
	}
	return string(b)
}
