package messaging

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// Publisher sends messages in batches: Publish(topic, a, b, c) is one pipelined
// round trip per partition leader, not three. It implements Watermill's
// message.Publisher. It connects at the first Publish, so it can be made while the
// broker is away.
//
// A message that already carries a trace context (the outbox stores one) keeps it,
// and the "send TOPIC" span links to it; any other gets the send span's.
type Publisher struct {
	brokers []string
	config  *sarama.Config
	log     *slog.Logger
	tracer  trace.Tracer
	client  []attribute.KeyValue // of each span
	metrics publisherMetrics

	// mu is read-locked while sending and locked to connect and to disconnect. It
	// guards all below.
	mu         sync.RWMutex
	connection *connection // nil: not connected
	closed     bool
}

// connection is a sarama producer and the client below it.
type connection struct {
	client   sarama.Client
	producer sarama.SyncProducer
}

// PublisherOptions are what a Publisher reports to; nil fields report nowhere.
type PublisherOptions struct {
	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	Registerer     prometheus.Registerer
}

var _ message.Publisher = (*Publisher)(nil)

// ErrPublisherClosed is returned by Publish after Close.
var ErrPublisherClosed = errors.New("publisher is closed")

// NewPublisher returns a Publisher. It does not connect yet.
func NewPublisher(c Config, o PublisherOptions) (*Publisher, error) {
	config, err := c.Sarama()
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Publisher{
		brokers: c.Brokers,
		config:  config,
		log:     o.Logger,
		tracer:  Tracer(o.TracerProvider),
		client:  c.clientAttributes(),
		metrics: newPublisherMetrics(o.Registerer),
	}, nil
}

// Publish returns when the broker has acknowledged all messages, or a
// *[PublishError] that tells which ones it has not. A message must not be part of two
// calls at the same time.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	if len(messages) == 0 {
		return nil
	}
	span := startSend(p.tracer, p.client, topic, messages)
	started := time.Now()
	records := make([]*sarama.ProducerMessage, len(messages))
	for i, m := range messages {
		record, err := marshaler{}.Marshal(topic, m)
		if err != nil {
			return err
		}
		record.Metadata = i
		records[i] = record
	}
	failure := p.send(topic, records)
	endSend(span, started, messages, records, failure)
	p.metrics.duration.WithLabelValues(topic).Observe(time.Since(started).Seconds())
	if failure == nil {
		p.metrics.sent.WithLabelValues(topic, "ok").Add(float64(len(messages)))
		return nil
	}
	p.metrics.sent.WithLabelValues(topic, "error").Add(float64(len(failure.Failed)))
	p.metrics.sent.WithLabelValues(topic, "ok").Add(float64(len(messages) - len(failure.Failed)))
	return failure
}

func (p *Publisher) send(topic string, records []*sarama.ProducerMessage) *PublishError {
	c, release, err := p.acquire()
	if err != nil {
		return allFailed(topic, len(records), err)
	}
	err = c.producer.SendMessages(records)
	release()
	if err == nil {
		return nil
	}
	var failed sarama.ProducerErrors
	if !errors.As(err, &failed) {
		p.drop(c)
		return allFailed(topic, len(records), err)
	}
	failure := &PublishError{Topic: topic, Total: len(records), Failed: make(map[int]error, len(failed))}
	for _, f := range failed {
		failure.Failed[f.Msg.Metadata.(int)] = f.Err
	}
	if len(failed) == len(records) {
		// Nothing came through: the next call starts from scratch, with new metadata
		// and a new producer id.
		p.drop(c)
	}
	return failure
}

func allFailed(topic string, n int, err error) *PublishError {
	failure := &PublishError{Topic: topic, Total: n, Failed: make(map[int]error, n)}
	for i := range n {
		failure.Failed[i] = err
	}
	return failure
}

// acquire returns the connection, made if need be, and read-locks mu until release.
func (p *Publisher) acquire() (c *connection, release func(), err error) {
	for {
		p.mu.RLock()
		if p.closed {
			p.mu.RUnlock()
			return nil, nil, ErrPublisherClosed
		}
		if p.connection != nil {
			return p.connection, p.mu.RUnlock, nil
		}
		p.mu.RUnlock()
		if err := p.connect(); err != nil {
			return nil, nil, err
		}
	}
}

func (p *Publisher) connect() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.connection != nil {
		return nil
	}
	client, err := sarama.NewClient(p.brokers, p.config)
	if err != nil {
		return fmt.Errorf("connect to broker %v: %w", p.brokers, err)
	}
	producer, err := sarama.NewSyncProducerFromClient(client)
	if err != nil {
		return errors.Join(fmt.Errorf("start producer: %w", err), client.Close())
	}
	p.connection = &connection{client, producer}
	return nil
}

// drop disconnects, unless another call has done so already.
func (p *Publisher) drop(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.connection != c {
		return
	}
	p.connection = nil
	if err := c.close(); err != nil {
		p.log.Debug("producer closed with an error", "error", err)
	}
}

// Close waits for what is under way and disconnects.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	c := p.connection
	p.connection = nil
	if c == nil {
		return nil
	}
	return c.close()
}

func (c *connection) close() error { return errors.Join(c.producer.Close(), c.client.Close()) }
