// Package plain is the consumer that the wrong ways of consuming are made of: Watermill's router and
// watermill-kafka's subscriber as their documentation puts them together, with none of what
// pkg/messaging puts round them. It has no bounded tries, no dead letters, no retry topics and no
// drain: what is in hand when it is told to stop is dropped and comes again, or does not, as the way
// has it. Only the packages beside it use it.
package plain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/internal/metric"
	"millrace/pkg/messaging"
)

// Config is what every wrong consumer is made with. Kafka and Group are required.
type Config struct {
	Kafka  messaging.Config
	Group  string
	Faults *fault.Set

	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	Registerer     prometheus.Registerer
}

// Way is what one way does in its own manner. A zero field changes nothing.
type Way struct {
	// Name is that of package wrongway.
	Name string
	// Sarama changes the client's settings.
	Sarama func(*sarama.Config)
	// Session stands between sarama's session of the group and watermill-kafka.
	Session func(sarama.ConsumerGroupHandler) sarama.ConsumerGroupHandler
	// Around is the middleware round the handler.
	Around func(*Consumer) message.HandlerMiddleware
	// NackPause is what watermill-kafka waits before it redelivers; 0: 100 ms, its default.
	NackPause time.Duration
}

// What became of a message.
const (
	// OK is handled.
	OK = "ok"
	// Lost is acknowledged, or about to be, and never handled.
	Lost = "lost"
	// Nacked will be redelivered.
	Nacked = "nacked"
)

const (
	tryTimeout   = 10 * time.Second
	closeTimeout = 5 * time.Second
)

// Consumer is a consumer of the same shape as messaging.Consumer. Make it with [New], add handlers,
// then call Run once.
type Consumer struct {
	config   Config
	way      Way
	log      *slog.Logger
	tracer   trace.Tracer
	messages *prometheus.CounterVec
	handlers map[string]messaging.Handler

	mu     sync.Mutex // guards joined
	joined map[string]bool
}

// New validates the configuration.
func New(c Config, way Way) (*Consumer, error) {
	if err := c.Kafka.Validate(); err != nil {
		return nil, err
	}
	if c.Group == "" {
		return nil, errors.New("plain consumer: Group must be set")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Consumer{
		config: c, way: way,
		log:    c.Logger.With("group", c.Group, "wrong_way", way.Name),
		tracer: messaging.Tracer(c.TracerProvider),
		messages: metric.Register(c.Registerer, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wrong_way_messages_total",
			Help: "Messages that a wrong way of consuming took, by what became of them: ok, lost, nacked.",
		}, []string{"way", "group", "topic", "outcome"})),
		handlers: make(map[string]messaging.Handler),
		joined:   make(map[string]bool),
	}, nil
}

// Handle adds the handler for a topic. It must be called before Run, once per topic.
func (c *Consumer) Handle(topic string, h messaging.Handler) {
	if _, ok := c.handlers[topic]; ok {
		panic("plain: a second handler for topic " + topic)
	}
	c.handlers[topic] = h
	for _, outcome := range []string{OK, Lost, Nacked} {
		c.messages.WithLabelValues(c.way.Name, c.config.Group, topic, outcome) // zero is a value, absence is none
	}
}

// Run consumes until ctx ends. It drops what is in hand then.
func (c *Consumer) Run(ctx context.Context) error {
	if len(c.handlers) == 0 {
		return errors.New("plain consumer: no handler")
	}
	if err := messaging.EnsureTopics(ctx, c.config.Kafka, c.log, events.Topics()...); err != nil {
		if ctx.Err() == nil {
			return err
		}
		return nil // an end while waiting is an orderly one
	}
	settings, err := c.config.Kafka.Sarama()
	if err != nil {
		return err
	}
	if c.way.Sarama != nil {
		c.way.Sarama(settings)
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: closeTimeout}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	for topic, h := range c.handlers {
		subscriber, err := kafka.NewSubscriber(kafka.SubscriberConfig{
			Brokers:               c.config.Kafka.Brokers,
			Unmarshaler:           kafka.DefaultMarshaler{},
			OverwriteSaramaConfig: settings,
			ConsumerGroup:         c.config.Group,
			NackResendSleep:       c.way.NackPause,
			Tracer:                session{c, topic},
		}, watermill.NopLogger{})
		if err != nil {
			return err
		}
		handler := router.AddConsumerHandler(c.config.Group+"."+topic, topic, subscriber, func(m *message.Message) error { //nolint:contextcheck // a message brings its own context
			return c.work(m, topic, h)
		})
		if c.way.Around != nil {
			handler.AddMiddleware(c.way.Around(c))
		}
	}
	if err := router.Run(ctx); err != nil {
		return fmt.Errorf("consumer of group %s: %w", c.config.Group, err)
	}
	return nil
}

// work runs the handler once, as a span of the message's trace.
func (c *Consumer) work(m *message.Message, topic string, h messaging.Handler) error {
	// The subscriber ends a message's context when it is acknowledged, which may be now.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(m.Context()), tryTimeout)
	defer cancel()
	d := c.delivery(m, topic)
	ctx, span := messaging.StartProcess(ctx, c.tracer, c.config.Kafka, &d)
	defer span.End()
	if err := c.try(ctx, h, &d); err != nil {
		messaging.FailSpan(span, err)
		c.log.WarnContext(ctx, "message failed", "topic", topic, "partition", d.Partition, "offset", d.Offset, "message_id", d.ID, "error", err)
		return err
	}
	c.Count(topic, OK)
	return nil
}

func (c *Consumer) try(ctx context.Context, h messaging.Handler, d *messaging.Delivery) error {
	attrs := []fault.Attr{{Key: fault.Group, Value: d.Group}, {Key: fault.Topic, Value: d.Topic}, {Key: fault.OrderID, Value: string(d.Key)}}
	if err := c.config.Faults.Hit(ctx, fault.ConsumeBeforeEffect, attrs...); err != nil {
		return err
	}
	if err := h(ctx, d); err != nil {
		return err
	}
	return c.config.Faults.Hit(ctx, fault.ConsumeAfterEffect, attrs...)
}

func (c *Consumer) delivery(m *message.Message, topic string) messaging.Delivery {
	ctx := m.Context()
	d := messaging.Delivery{ID: m.UUID, Group: c.config.Group, Topic: topic, Headers: m.Metadata, Payload: m.Payload, Attempt: 1}
	d.Partition, _ = kafka.MessagePartitionFromCtx(ctx)
	d.Offset, _ = kafka.MessagePartitionOffsetFromCtx(ctx)
	d.Timestamp, _ = kafka.MessageTimestampFromCtx(ctx)
	d.Key, _ = kafka.MessageKeyFromCtx(ctx)
	if d.ID == "" {
		d.ID = topic + "/" + strconv.Itoa(int(d.Partition)) + "/" + strconv.FormatInt(d.Offset, 10)
	}
	return d
}

// Count counts what became of a message.
func (c *Consumer) Count(topic, outcome string) {
	c.messages.WithLabelValues(c.way.Name, c.config.Group, topic, outcome).Inc()
}

// Lose says that a message is lost, and why.
func (c *Consumer) Lose(m *message.Message, why string) {
	topic := message.SubscribeTopicFromCtx(m.Context())
	c.Count(topic, Lost)
	c.log.ErrorContext(m.Context(), "message is lost", "topic", topic, "message_id", m.UUID, "reason", why)
}

// Ready returns nil while every handler has joined its group.
func (c *Consumer) Ready(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for topic := range c.handlers {
		if !c.joined[topic] {
			return fmt.Errorf("group %s is not joined for topic %s", c.config.Group, topic)
		}
	}
	return nil
}

func (c *Consumer) setJoined(topic string, joined bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joined[topic] = joined
}

// session watches the group's sessions from where watermill-kafka lets a tracer in.
type session struct {
	c     *Consumer
	topic string
}

// WrapConsumerGroupHandler implements kafka.SaramaTracer.
func (s session) WrapConsumerGroupHandler(h sarama.ConsumerGroupHandler) sarama.ConsumerGroupHandler {
	if s.c.way.Session != nil {
		h = s.c.way.Session(h)
	}
	return watched{h, s}
}

// WrapConsumer implements kafka.SaramaTracer.
func (session) WrapConsumer(c sarama.Consumer) sarama.Consumer { return c }

// WrapPartitionConsumer implements kafka.SaramaTracer.
func (session) WrapPartitionConsumer(c sarama.PartitionConsumer) sarama.PartitionConsumer { return c }

// WrapSyncProducer implements kafka.SaramaTracer.
func (session) WrapSyncProducer(_ *sarama.Config, p sarama.SyncProducer) sarama.SyncProducer {
	return p
}

type watched struct {
	sarama.ConsumerGroupHandler
	of session
}

// Setup runs when the group has been joined.
func (w watched) Setup(s sarama.ConsumerGroupSession) error {
	w.of.c.setJoined(w.of.topic, true)
	return w.ConsumerGroupHandler.Setup(s)
}

// Cleanup runs when a generation of the group has ended.
func (w watched) Cleanup(s sarama.ConsumerGroupSession) error {
	w.of.c.setJoined(w.of.topic, false)
	return w.ConsumerGroupHandler.Cleanup(s)
}
