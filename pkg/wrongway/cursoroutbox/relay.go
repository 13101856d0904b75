// Package cursoroutbox is a relay that remembers the last id it has sent and asks for higher ones.
//
// WRONG ON PURPOSE. It breaks: every committed event is sent. An id is given when a row is inserted, not
// when it is committed. If the transaction with id 7 commits after the one with id 8, the relay has seen 8
// by then and never asks for 7 again. To see it: let one transaction wait before its commit
// (fault effect.before-commit=delay for one product) while another passes: the first one's row stays with
// published_at NULL, outbox_oldest_age_seconds grows, and a restart does not help. The right way is
// outbox.Relay, which asks for what is not published yet.
package cursoroutbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"millrace/pkg/fault"
	"millrace/pkg/internal/metric"
	"millrace/pkg/messaging"
)

// Config describes a [Relay]. Pool and Publisher are required; the Publisher is not closed.
type Config struct {
	Pool      *pgxpool.Pool
	Publisher message.Publisher
	Faults    *fault.Set

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

const (
	batchSize = 500
	poll      = 20 * time.Millisecond
	retry     = time.Second
	// statsEvery is short, so that what is left behind is seen soon.
	statsEvery     = time.Second
	goodbyeTimeout = 5 * time.Second
)

// Relay publishes what its cursor has not passed.
type Relay struct {
	config    Config
	log       *slog.Logger
	pending   prometheus.Gauge
	oldest    prometheus.Gauge
	published prometheus.Counter
	leader    prometheus.Gauge

	mu    sync.Mutex // guards state: why it is not ready
	state error
}

// New validates the configuration.
func New(c Config) (*Relay, error) {
	if c.Pool == nil || c.Publisher == nil {
		return nil, errors.New("cursor relay: Pool and Publisher must be set")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return metric.Register(c.Registerer, prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help}))
	}
	return &Relay{
		config:  c,
		log:     c.Logger.With("wrong_way", "cursor-outbox"),
		pending: gauge("outbox_pending_messages", "Stored messages that are not published, those that the cursor has passed among them."),
		oldest:  gauge("outbox_oldest_age_seconds", "Age of the oldest message that is not published."),
		leader:  gauge("outbox_leader", "1 while this instance's relay publishes, 0 while it stands by."),
		published: metric.Register(c.Registerer, prometheus.NewCounter(prometheus.CounterOpts{
			Name: "outbox_published_messages_total", Help: "Stored messages that the broker has acknowledged.",
		})),
		state: errors.New("cursor relay is not started"),
	}, nil
}

// Run publishes until ctx ends.
func (r *Relay) Run(ctx context.Context) error {
	defer r.setState(errors.New("cursor relay is stopped"))
	for {
		err := r.session(ctx)
		r.leader.Set(0)
		if ctx.Err() != nil {
			return nil
		}
		r.setState(fmt.Errorf("cursor relay has no database: %w", err))
		r.log.WarnContext(ctx, "cursor relay was interrupted, will try again", "error", err, "next_try", retry)
		if !wait(ctx, retry) {
			return nil
		}
	}
}

// Ready returns nil while the relay can reach its database.
func (r *Relay) Ready(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

func (r *Relay) setState(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = err
}

// session is one connection's life. Its advisory lock keeps other instances from publishing too: what is
// wrong here is the cursor and nothing else.
func (r *Relay) session(ctx context.Context) error {
	config := r.config.Pool.Config().ConnConfig
	config.Tracer = nil // a span for each look into the table would tell nothing
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTimeout)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	for leads := false; !leads; {
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtext('millrace:cursor-relay'))`).Scan(&leads); err != nil {
			return err
		}
		r.setState(nil)
		if !leads && !wait(ctx, time.Second) {
			return ctx.Err()
		}
	}
	// Where a restart goes on: behind the last one that was sent.
	var cursor int64
	if err := conn.QueryRow(ctx, `SELECT coalesce(max(id), 0) FROM outbox WHERE published_at IS NOT NULL`).Scan(&cursor); err != nil {
		return err
	}
	r.log.WarnContext(ctx, "cursor relay leads", "cursor", cursor)
	r.leader.Set(1)
	return r.lead(ctx, conn, cursor)
}

func (r *Relay) lead(ctx context.Context, conn *pgx.Conn, cursor int64) error {
	var nextStats time.Time
	for {
		if now := time.Now(); now.After(nextStats) {
			if err := r.stats(ctx, conn); err != nil {
				return err
			}
			nextStats = now.Add(statsEvery)
		}
		rows, err := r.after(ctx, conn, cursor)
		if err != nil {
			return err
		}
		for _, next := range rows {
			if err := r.publish(ctx, next); err != nil {
				return err // the cursor stands still: that much is right
			}
			cursor = next.id // and what becomes visible below it is never asked for
			if err := r.mark(ctx, conn, next.id); err != nil {
				return err
			}
		}
		if len(rows) == 0 && !wait(ctx, poll) {
			return ctx.Err()
		}
	}
}

// row is a stored message.
type row struct {
	id      int64
	topic   string
	message *message.Message
}

// after reads what lies behind the cursor. This is the mistake.
func (r *Relay) after(ctx context.Context, conn *pgx.Conn, cursor int64) ([]row, error) {
	rows, err := conn.Query(ctx, `SELECT id, message_id, topic, key, payload, headers, created_at
		FROM outbox WHERE id > $1 ORDER BY id LIMIT $2`, cursor, batchSize)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(result pgx.CollectableRow) (row, error) {
		var (
			next         row
			messageID    string
			key, payload []byte
			headers      map[string]string
			createdAt    time.Time
		)
		if err := result.Scan(&next.id, &messageID, &next.topic, &key, &payload, &headers, &createdAt); err != nil {
			return row{}, err
		}
		next.message = message.NewMessage(messageID, payload)
		for name, value := range headers {
			next.message.Metadata[name] = value
		}
		if key != nil {
			next.message.Metadata[messaging.MetadataKey] = string(key)
		}
		messaging.SetCreatedAt(next.message, createdAt)
		return next, nil
	})
}

func (r *Relay) publish(ctx context.Context, next row) error {
	topic := fault.Attr{Key: fault.Topic, Value: next.topic}
	if err := r.config.Faults.Hit(ctx, fault.RelayBeforePublish, topic); err != nil {
		return err
	}
	if err := r.config.Publisher.Publish(next.topic, next.message); err != nil {
		return err
	}
	r.published.Inc()
	return r.config.Faults.Hit(ctx, fault.RelayAfterPublish, topic)
}

// mark keeps the table's meaning for whoever reads it after: the right relay sends what this one forgot.
func (r *Relay) mark(ctx context.Context, conn *pgx.Conn, id int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTimeout)
	defer cancel()
	_, err := conn.Exec(ctx, `UPDATE outbox SET published_at = clock_timestamp() WHERE id = $1`, id)
	return err
}

func (r *Relay) stats(ctx context.Context, conn *pgx.Conn) error {
	var (
		pending int64
		oldest  float64
	)
	err := conn.QueryRow(ctx, `SELECT count(*), coalesce(extract(epoch FROM now() - min(created_at)), 0)
		FROM outbox WHERE published_at IS NULL`).Scan(&pending, &oldest)
	if err != nil {
		return err
	}
	r.pending.Set(float64(pending))
	r.oldest.Set(oldest)
	return nil
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
