package dlq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/otel/trace"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
)

// Lease is how long the owner of an intent has to send. Within half of it the owner
// sends or gives up; after it others look for what became of the intent.
const Lease = 10 * time.Second

// Config says which Kafka, and who is at work.
type Config struct {
	Brokers []string
	Options []kgo.Opt // TLS, SASL
	Who     string    // user@host, for the audit records
	// Traces takes the redrive spans; nil: nobody does.
	Traces trace.TracerProvider
	// Lease replaces [Lease]; all who work on one Kafka need the same. Tests shorten it.
	Lease time.Duration
	// Patience is how long a broker may give no answer; 0: 15 s.
	Patience time.Duration
}

// Client works on the dead letters of one Kafka. It is for one goroutine.
type Client struct {
	config  Config
	options []kgo.Opt
	kafka   *kgo.Client // produces, and asks
	admin   *kadm.Client
	tracer  trace.Tracer
	ledger  *Ledger
	topics  map[string]int32 // topics that exist → partitions
}

const (
	clientID        = "millrace-dlq"
	defaultPatience = 15 * time.Second
	minMetadataAge  = 50 * time.Millisecond
	// maxMessage bounds what is produced; the broker refuses what its topic does not take.
	maxMessage = 64 << 20
	// largeMessage is what goes alone: a topic's max.message.bytes bounds a whole batch.
	largeMessage = 700 << 10
)

// Connect connects. It fails when no broker answers.
func Connect(ctx context.Context, c Config) (*Client, error) {
	if c.Lease == 0 {
		c.Lease = Lease
	}
	if c.Patience == 0 {
		c.Patience = defaultPatience
	}
	options := append([]kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.ClientID(clientID)}, c.Options...)
	kafka, err := kgo.NewClient(append(slices.Clone(options),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(maxMessage), kgo.BrokerMaxWriteBytes(2*maxMessage),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordDeliveryTimeout(c.Lease/2),
		kgo.MetadataMinAge(minMetadataAge), // a topic that was made just now is written to at once
	)...)
	if err != nil {
		return nil, err
	}
	client := &Client{
		config: c, options: options, kafka: kafka, admin: kadm.NewClient(kafka),
		tracer: messaging.Tracer(c.Traces), topics: map[string]int32{},
	}
	pingCtx, cancel := context.WithTimeout(ctx, c.Patience)
	defer cancel()
	if err := kafka.Ping(pingCtx); err != nil {
		kafka.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &UnreachableError{Brokers: c.Brokers, Err: err}
	}
	return client, nil
}

// Close ends the connections.
func (c *Client) Close() { c.kafka.Close() }

// UnreachableError is returned when no broker answers.
type UnreachableError struct {
	Brokers []string
	Err     error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("no broker answers at %v: %v", e.Brokers, e.Err)
}
func (e *UnreachableError) Unwrap() error { return e.Err }

// Topics lists the dead letter topics there are, in the order of their names.
func (c *Client) Topics(ctx context.Context) ([]string, error) {
	details, err := c.admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	var names []string
	for _, t := range details {
		if t.Err == nil && isDeadLetterTopic(t.Topic) {
			names = append(names, t.Topic)
		}
	}
	slices.Sort(names)
	return names, nil
}

// partitions tells how many partitions a topic has; 0: it does not exist.
func (c *Client) partitions(ctx context.Context, topic string) (int32, error) {
	if n, ok := c.topics[topic]; ok {
		return n, nil
	}
	details, err := c.admin.ListTopics(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("topic %s: %w", topic, err)
	}
	d := details[topic]
	switch {
	case errors.Is(d.Err, kerr.UnknownTopicOrPartition), errors.Is(d.Err, kerr.InvalidTopicException):
		return 0, nil // not kept: it may come into being, and letters can name any number of topics
	case d.Err != nil:
		return 0, fmt.Errorf("topic %s: %w", topic, d.Err)
	}
	c.topics[topic] = int32(len(d.Partitions)) //nolint:gosec // a topic has no 2^31 partitions
	return c.topics[topic], nil
}

// createTopic makes a topic. That it was made by somebody else meanwhile is no error.
func (c *Client) createTopic(ctx context.Context, t events.Topic) error {
	configs := map[string]*string{}
	for name, value := range t.Configs {
		configs[name] = &value
	}
	// -1: the broker's default replication factor (KIP-464).
	created, err := c.admin.CreateTopic(ctx, t.Partitions, -1, configs, t.Name)
	if err != nil && !errors.Is(created.Err, kerr.TopicAlreadyExists) && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", t.Name, err)
	}
	// The brokers hear of it, and of the leaders of its partitions, a little later.
	for deadline := time.Now().Add(c.config.Patience); ; {
		n, err := c.partitions(ctx, t.Name)
		if err == nil && n > 0 {
			_, err = c.endOffsets(ctx, t.Name)
			if err == nil {
				return nil
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("topic %s was created, but is not to be used after %s: %w", t.Name, c.config.Patience, err)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// produced is what became of one record.
type produced struct {
	partition int32
	offset    int64
	err       error
}

// errUnsettled is the error of a record of which it is not known whether the broker has it.
var errUnsettled = errors.New("the broker has not answered; whether it has the message is not known")

// produce sends records, acks=all, and waits for all answers, but not for longer than
// half a lease.
func (c *Client) produce(ctx context.Context, records []*kgo.Record) []produced {
	ctx, cancel := context.WithTimeout(ctx, c.config.Lease/2)
	defer cancel()
	results := make([]produced, len(records))
	for i := range results {
		results[i].err = errUnsettled
	}
	for from := 0; from < len(records); {
		to, size := from, 0
		for to < len(records) && (to == from || size+recordSize(records[to]) <= largeMessage) {
			size += recordSize(records[to])
			to++
		}
		if !c.produceBatch(ctx, records[from:to], results[from:to]) {
			break // out of time: what was not tried is not settled either
		}
		from = to
	}
	return results
}

// recordSize is about what a record takes in a batch.
func recordSize(r *kgo.Record) int {
	const framing = 64
	size := len(r.Key) + len(r.Value) + framing
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value) + 8
	}
	return size
}

// produceBatch sends records that fit into one batch; false: not all were answered in time.
func (c *Client) produceBatch(ctx context.Context, records []*kgo.Record, results []produced) bool {
	type answer struct {
		index int
		produced
	}
	answers := make(chan answer, len(records))
	for i, r := range records {
		c.kafka.Produce(ctx, r, func(r *kgo.Record, err error) {
			answers <- answer{i, produced{r.Partition, r.Offset, err}}
		})
	}
	for range records {
		select {
		case a := <-answers:
			results[a.index] = a.produced
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// refusedForGood tells of an error after which the broker surely does not have the record.
func refusedForGood(err error) bool {
	var answer *kerr.Error
	return errors.As(err, &answer) && !answer.Retriable && !errors.Is(err, kerr.UnknownServerError)
}
