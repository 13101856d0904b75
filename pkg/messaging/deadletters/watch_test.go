package deadletters_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/pkg/messaging/deadletters"
	"millrace/pkg/service/servicetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a broker with a watch on it.
type bench struct {
	t        *testing.T
	kafka    messaging.Config
	client   *kgo.Client
	registry *prometheus.Registry
	cancel   context.CancelFunc
	done     chan error
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, kafka: servicetest.Broker(t)}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	b.client = client
	t.Cleanup(client.Close)
	b.watch()
	t.Cleanup(func() { b.stop() })
	return b
}

// watch starts a watch that has seen nothing, as after a restart of its service.
func (b *bench) watch() {
	b.t.Helper()
	b.registry = prometheus.NewPedanticRegistry()
	w, err := deadletters.New(deadletters.Config{
		Kafka: b.kafka, Group: events.GroupInventory, Topics: []string{events.TopicOrders, events.TopicInventory},
		Interval: 5 * time.Millisecond, Registerer: b.registry,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel, b.done = cancel, make(chan error, 1)
	go func() { b.done <- w.Run(ctx) }()
}

func (b *bench) stop() {
	b.cancel()
	if b.done == nil {
		return
	}
	if err := <-b.done; err != nil {
		b.t.Error(err)
	}
	b.done = nil
}

// put appends a record and returns its id.
func (b *bench) put(topic string, partition int32, value []byte, at time.Time) events.LetterID {
	b.t.Helper()
	r, err := b.client.ProduceSync(b.t.Context(), &kgo.Record{Topic: topic, Partition: partition, Value: value, Timestamp: at}).First()
	if err != nil {
		b.t.Fatal(err)
	}
	return events.LetterID{Topic: topic, Partition: partition, Offset: r.Offset}
}

func (b *bench) letter(group string, partition int32, at time.Time) events.LetterID {
	b.t.Helper()
	value, err := events.EncodeDeadLetter(events.DeadLetter{
		OriginalMessage: []byte(`{}`), Error: "injected", OriginalTopic: events.TopicOrders, Group: group, Attempts: 3,
		FirstFailure: at, LastFailure: at, ErrorClass: events.ClassTransient, MessageID: "m",
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.put(events.TopicOrdersDLQ, partition, value, at)
}

func (b *bench) audit(a events.Audit) {
	b.t.Helper()
	a.Who, a.When = "someone@somewhere", time.Now()
	if a.Action == events.AuditRedriveDone || a.Action == events.AuditRedriveIntent {
		a.RedriveID, a.Group, a.TargetTopic = "r-1", events.GroupInventory, events.RetryTopic(events.TopicOrders, events.GroupInventory)
	}
	value, err := events.EncodeAudit(a)
	if err != nil {
		b.t.Fatal(err)
	}
	b.put(events.TopicDLQAudit, 0, value, time.Now())
}

// tells waits until the metrics are these, of topic orders-dlq.
func (b *bench) tells(pending float64, age time.Duration) {
	b.t.Helper()
	var last map[string]float64
	servicetest.Eventually(b.t, "the metrics tell so", func() bool {
		last = map[string]float64{}
		families, err := b.registry.Gather()
		if err != nil {
			b.t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if m.GetLabel()[1].GetValue() == events.TopicOrdersDLQ {
					last[f.GetName()] = m.GetGauge().GetValue()
				}
			}
		}
		got, told := last["messaging_dead_letters_pending"]
		return told && got == pending && (age == 0) == (last["messaging_dead_letter_oldest_age_seconds"] == 0) &&
			last["messaging_dead_letter_oldest_age_seconds"] >= age.Seconds()
	}, func() string { return "told" })
}

// A letter waits until it was sent anew or given up; only those of the group count, and a restart counts the same.
func TestWatch(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.tells(0, 0)
	now := time.Now()
	first := b.letter(events.GroupInventory, 0, now.Add(-time.Hour))
	second := b.letter(events.GroupInventory, 3, now.Add(-time.Minute))
	b.letter(events.GroupNotification, 0, now)
	b.put(events.TopicOrdersDLQ, 0, []byte("no letter"), now)
	b.put(events.TopicDLQAudit, 0, []byte("no audit"), now)
	b.tells(2, time.Hour)

	b.audit(events.Audit{Action: events.AuditRedriveIntent, Letter: first})
	b.audit(events.Audit{Action: events.AuditDiscard, Letter: second, Reason: "of another topic", LetterTimestamp: now})
	b.tells(2, time.Hour)
	b.audit(events.Audit{Action: events.AuditRedriveDone, Letter: first, LetterTimestamp: now.Add(-time.Hour)})
	b.tells(1, time.Minute)
	b.audit(events.Audit{Action: events.AuditDiscard, Letter: second, Reason: "a test"})
	b.tells(0, 0)
	b.audit(events.Audit{Action: events.AuditRestore, Letter: second})
	b.tells(1, time.Minute)

	b.stop()
	b.watch()
	b.tells(1, time.Minute)

	// What the topic no longer has cannot be dealt with any more.
	var upTo kadm.Offsets
	upTo.AddOffset(second.Topic, second.Partition, second.Offset+1, -1)
	if _, err := kadm.NewClient(b.client).DeleteRecords(t.Context(), upTo); err != nil {
		t.Fatal(err)
	}
	b.tells(0, 0)
}

func TestNew_Refuses(t *testing.T) {
	good := deadletters.Config{Kafka: messaging.DefaultConfig(), Group: "g", Topics: []string{"t"}}
	for name, change := range map[string]func(*deadletters.Config){
		"Group and Topics": func(c *deadletters.Config) { c.Group = "" },
		"Topics must":      func(c *deadletters.Config) { c.Topics = nil },
		"negative":         func(c *deadletters.Config) { c.Interval = -1 },
		"KAFKA_BROKERS":    func(c *deadletters.Config) { c.Kafka.Brokers = nil },
	} {
		c := good
		change(&c)
		if _, err := deadletters.New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %s", err, name)
		}
	}
}
