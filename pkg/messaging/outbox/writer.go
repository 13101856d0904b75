package outbox

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
	"millrace/pkg/postgres"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations creates the table outbox.
var Migrations = postgres.Migrations{Name: "outbox", FS: files, Dir: "migrations"}

// MaxSize bounds key, payload and headers together, in bytes: well below what brokers
// accept, since a message that is refused would be tried forever.
const MaxSize = 900_000

// ErrTooLarge is returned when a message exceeds MaxSize.
var ErrTooLarge = fmt.Errorf("message exceeds %d bytes", MaxSize)

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
type Writer struct {
	tracer     trace.Tracer
	lastNotify atomic.Int64 // Unix nanoseconds
}

// NewWriter returns a Writer that makes "create TOPIC" spans; a nil provider makes none.
func NewWriter(provider trace.TracerProvider) *Writer {
	return &Writer{tracer: messaging.Tracer(provider)}
}

// Execer is a pgx.Tx, or what wraps one.
type Execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

const (
	channel     = "outbox"
	notifyEvery = 100 * time.Millisecond

	insertSQL = `INSERT INTO outbox (message_id, topic, key, payload, headers, created_at)
		VALUES ($1, $2, $3, $4, $5, clock_timestamp())`
	insertAndNotifySQL = `WITH stored AS (` + insertSQL + ` RETURNING id)
		SELECT pg_notify('` + channel + `', '') FROM stored`
)

// Add stores a message in the caller's transaction, together with the trace context
// of its "create TOPIC" span, and wakes the relay when the transaction commits.
func (w *Writer) Add(ctx context.Context, tx Execer, m Message) error {
	args, err := w.create(ctx, m)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, w.sql(), args...); err != nil {
		return fmt.Errorf("store message for %s: %w", m.Topic, err)
	}
	return nil
}

// Queue does the same as a part of a batch, to save a round trip. An error says
// that the message is not fit to be stored; nothing was queued then.
func (w *Writer) Queue(ctx context.Context, b *pgx.Batch, m Message) error {
	args, err := w.create(ctx, m)
	if err != nil {
		return err
	}
	b.Queue(w.sql(), args...)
	return nil
}

// sql picks the statement that also wakes the relay, once in a while.
func (w *Writer) sql() string {
	now, last := time.Now().UnixNano(), w.lastNotify.Load()
	if now-last >= int64(notifyEvery) && w.lastNotify.CompareAndSwap(last, now) {
		return insertAndNotifySQL
	}
	return insertSQL
}

// create makes the span, and the statement's arguments.
func (w *Writer) create(ctx context.Context, m Message) ([]any, error) {
	if m.Topic == "" {
		return nil, errors.New("message without a topic")
	}
	if m.ID == "" {
		m.ID = watermill.NewUUID()
	}
	headers := make(map[string]string, len(m.Headers)+2)
	maps.Copy(headers, m.Headers)
	size := len(m.Key) + len(m.Payload)
	for name, value := range headers {
		size += len(name) + len(value)
	}
	if size > MaxSize {
		return nil, fmt.Errorf("message for %s of %d bytes: %w", m.Topic, size, ErrTooLarge)
	}
	ctx, span := w.tracer.Start(ctx, "create "+m.Topic, trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(messaging.OperationAttributes("create", "create", m.Topic)...))
	defer span.End()
	if span.IsRecording() {
		span.SetAttributes(messaging.AttrMessageID.String(m.ID))
		if m.Key != nil {
			span.SetAttributes(messaging.AttrMessageKey.String(string(m.Key)))
		}
	}
	messaging.Propagator.Inject(ctx, propagation.MapCarrier(headers))
	return []any{m.ID, m.Topic, m.Key, m.Payload, headers}, nil
}
