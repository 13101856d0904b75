package messaging

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"millrace/pkg/events"
	"millrace/pkg/fault"
)

// ConsumerConfig describes a [Consumer]. Zero values mean the defaults named here.
type ConsumerConfig struct {
	Kafka Config
	// Group is the consumer group. Required.
	Group string
	// DeadLetters takes what failed for good and what is to be tried later. Required. It
	// is not closed.
	DeadLetters message.Publisher
	// Topics are ensured before the first subscription, and with them the group's retry
	// topics; nil: those of the shop.
	Topics []events.Topic
	Retry  RetryPolicy
	// Away tells, of a handler's error, whether it came about because something is away
	// that every message needs, such as the service's own database. While it is, messages
	// are held: their tries do not count and none becomes a dead letter. It may ask what
	// is away, for a second at most. nil: every error is the message's.
	Away func(ctx context.Context, err error) bool
	// Parking keeps the order of the messages of one key when some are put aside; nil:
	// what comes after one of those overtakes it.
	Parking Parking
	// Faults makes things go wrong on purpose; nil: nothing ever does.
	Faults *fault.Set
	// DrainTimeout is how long the message in hand may take after a shutdown has
	// begun; 0: 10 s.
	DrainTimeout time.Duration
	// Trace overrides Kafka.Trace.
	Trace TraceRelation

	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	Registerer     prometheus.Registerer
}

const (
	defaultDrainTimeout = 10 * time.Second
	// handOverTime is how long a try may go on after a rebalance has begun: the others
	// wait for this member.
	handOverTime = 3 * time.Second
	// closeTimeout bounds leaving the group.
	closeTimeout = 15 * time.Second
)

// Consumer is a Watermill router with one subscriber for each topic, and one for the
// group's retry topic of it, which has the same handler. Make it with [NewConsumer],
// add handlers, then call Run once.
type Consumer struct {
	config   ConsumerConfig
	log      *slog.Logger
	tracer   trace.Tracer
	client   []attribute.KeyValue // of each span
	metrics  consumerMetrics
	handlers []topicHandler

	// draining is closed when Run begins to shut down.
	draining chan struct{}
	// aborted ends when a shutdown's patience does.
	aborted context.Context
	abort   context.CancelFunc

	// mu guards all below.
	mu      sync.Mutex
	intakes []*intake // nil: not running
	state   string    // why it is not running
}

type topicHandler struct {
	topic  string
	handle Handler
}

// NewConsumer validates the configuration.
func NewConsumer(c ConsumerConfig) (*Consumer, error) {
	if err := c.Kafka.Validate(); err != nil {
		return nil, err
	}
	if c.Group == "" || c.DeadLetters == nil {
		return nil, errors.New("consumer: Group and DeadLetters must be set")
	}
	c.Retry = c.Retry.withDefaults()
	if err := c.Retry.Validate(); err != nil {
		return nil, err
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = defaultDrainTimeout
	}
	if c.Topics == nil {
		c.Topics = events.Topics()
	}
	if c.Trace == "" {
		c.Trace = c.Kafka.Trace
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	aborted, abort := context.WithCancel(context.Background())
	return &Consumer{
		config:   c,
		log:      c.Logger.With("group", c.Group),
		tracer:   Tracer(c.TracerProvider),
		client:   c.Kafka.clientAttributes(),
		metrics:  newConsumerMetrics(c.Registerer),
		draining: make(chan struct{}),
		aborted:  aborted,
		abort:    abort,
		state:    "not started",
	}, nil
}

// Handle adds the handler for a topic. It must be called before Run, once per topic.
func (c *Consumer) Handle(topic string, h Handler) {
	if slices.ContainsFunc(c.handlers, func(th topicHandler) bool { return th.topic == topic }) {
		// Two handlers of one group would share the topic's partitions between them,
		// and each would see only a part.
		panic("messaging: a second handler for topic " + topic)
	}
	c.handlers = append(c.handlers, topicHandler{topic, h})
}

// Run consumes until ctx ends. It waits for the broker for as long as it takes. When
// ctx ends it drains: no further message is taken, the ones in hand are finished,
// acknowledged and their offsets committed, then the group is left. It returns nil
// after an orderly drain.
func (c *Consumer) Run(ctx context.Context) error {
	if len(c.handlers) == 0 {
		return errors.New("consumer: no handler")
	}
	c.setState("waiting for the broker")
	if err := EnsureTopics(ctx, c.config.Kafka, c.log, c.topics()...); err != nil {
		if ctx.Err() == nil {
			return err
		}
		return nil // an end while waiting is an orderly one
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: closeTimeout}, logAdapter{c.log})
	if err != nil {
		return err
	}
	var intakes []*intake
	for _, h := range c.handlers {
		for _, topic := range []string{h.topic, events.RetryTopic(h.topic, c.config.Group)} {
			in := newIntake(c.config.Group, topic, h.topic, c.metrics, c.draining)
			in.faults = c.config.Faults
			subscriber, err := newSubscriber(c.config.Kafka, c.config.Group, in, c.log)
			if err != nil {
				return err
			}
			intakes = append(intakes, in)
			c.route(router, subscriber, in, h.handle) //nolint:contextcheck // a message brings its own context
		}
	}
	c.metrics.lag.add(intakes...)
	defer c.metrics.lag.remove(intakes...)
	c.mu.Lock()
	c.intakes, c.state = intakes, ""
	c.mu.Unlock()

	// The router's context must outlive ctx: it is the one of the messages in hand.
	ended := make(chan error, 1)
	go func() { ended <- router.Run(context.WithoutCancel(ctx)) }()
	select {
	case err := <-ended:
		return fmt.Errorf("consumer of group %s ended by itself: %w", c.config.Group, errors.Join(err, router.Close()))
	case <-ctx.Done():
	}
	return c.drain(router, intakes, ended)
}

// topics lists what has to exist.
func (c *Consumer) topics() []events.Topic {
	topics := slices.Clone(c.config.Topics)
	for _, h := range c.handlers {
		name, partitions := events.RetryTopic(h.topic, c.config.Group), int32(events.Partitions)
		if slices.ContainsFunc(topics, func(t events.Topic) bool { return t.Name == name }) {
			continue
		}
		if i := slices.IndexFunc(topics, func(t events.Topic) bool { return t.Name == h.topic }); i >= 0 {
			partitions = topics[i].Partitions
		}
		topics = append(topics, events.Topic{Name: name, Partitions: partitions})
	}
	return topics
}

// drain ends a running consumer.
func (c *Consumer) drain(router *message.Router, intakes []*intake, ended <-chan error) error {
	started := time.Now()
	c.setState("shutting down")
	close(c.draining)
	patience := time.AfterFunc(c.config.DrainTimeout, c.abort)
	for _, in := range intakes {
		select {
		case <-in.drained():
		case <-time.After(c.config.DrainTimeout + handOverTime):
			c.log.Error("a handler does not end; its message will be delivered again", "topic", in.topic)
		}
	}
	patience.Stop()
	// Closing the subscribers ends their sessions, which commits the marked offsets,
	// and leaves the group.
	<-router.Running()
	err := errors.Join(router.Close(), <-ended)
	c.log.Debug("consumer has drained", "took", time.Since(started))
	if err != nil {
		return fmt.Errorf("close consumer of group %s: %w", c.config.Group, err)
	}
	return nil
}

// Ready returns nil while every handler has joined its group, else what is missing.
func (c *Consumer) Ready(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != "" {
		return errors.New("consumer is " + c.state)
	}
	for _, in := range c.intakes {
		if err := in.ready(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Consumer) setState(state string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = state
}
