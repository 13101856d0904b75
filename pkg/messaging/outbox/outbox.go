// Package outbox publishes what a transaction has stored: a service inserts its rows
// and the message in one transaction ([Writer]); the [Relay] sends stored messages
// to the broker, and marks them only after the broker has acknowledged. So a message
// is sent if, and only if, its transaction has committed, and at least once.
//
// One relay at a time is at work, chosen by a session advisory lock; it reads rows
// in the order of their ids. Other instances stand by.
package outbox

import (
	"context"
	"embed"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"millrace/pkg/events"
	"millrace/pkg/postgres"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations creates the table outbox.
var Migrations = postgres.Migrations{Name: "outbox", FS: files, Dir: "migrations"}

// Message is what to publish.
type Message struct {
	// ID is the message id for the inbox of its readers; empty: a fresh one.
	ID    string
	Topic string
	// Key is the record key; nil: none.
	Key     []byte
	Payload []byte
	Headers map[string]string
}

// EventMessage encodes an event.
func EventMessage(e events.Event) (Message, error) {
	payload, err := events.Encode(e)
	if err != nil {
		return Message{}, err
	}
	return Message{Topic: e.Topic(), Key: []byte(e.Key()), Payload: payload, Headers: events.Headers(e)}, nil
}

// Writer stores messages. One per service; safe for concurrent use.
type Writer struct{}

// NewWriter returns a Writer that makes "create TOPIC" spans; a nil provider makes none.
func NewWriter(provider trace.TracerProvider) *Writer { return &Writer{} }

// Execer is a pgx.Tx, or what wraps one.
type Execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Add stores a message in the caller's transaction, together with the trace context
// of its "create TOPIC" span, and wakes the relay when the transaction commits.
func (w *Writer) Add(ctx context.Context, tx Execer, m Message) error { return nil }

// Queue does the same as a part of a batch, to save a round trip. An error says
// that the message is not fit to be stored; nothing was queued then.
func (w *Writer) Queue(ctx context.Context, b *pgx.Batch, m Message) error { return nil }

// RelayConfig describes a [Relay]. Zero values mean the defaults named here.
type RelayConfig struct {
	// Pool is the service's database. The relay keeps a connection of its own. Required.
	Pool *pgxpool.Pool
	// Publisher sends. Required. It is not closed.
	Publisher message.Publisher
	// BatchSize bounds the messages under way; 0: 500.
	BatchSize int
	// PollInterval backs up the notifications; 0: 1 s.
	PollInterval time.Duration
	// Retention is how long published rows stay; 0: 24 h.
	Retention time.Duration

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Relay publishes stored messages.
type Relay struct{}

// NewRelay validates the configuration.
func NewRelay(c RelayConfig) (*Relay, error) { return &Relay{}, nil }

// Run publishes until ctx ends. It survives the absence of Postgres and of the broker.
func (r *Relay) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Ready returns nil while the relay can reach its database, as the leader or standing by.
func (r *Relay) Ready(ctx context.Context) error { return nil }
