package outbox

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"millrace/pkg/fault"
	"millrace/pkg/messaging"
)

// RelayConfig describes a [Relay]. Zero values mean the defaults named here.
type RelayConfig struct {
	// Pool is the service's database. The relay opens a connection of its own, with
	// the pool's settings. Required.
	Pool *pgxpool.Pool
	// Publisher sends. Required. It is not closed.
	Publisher message.Publisher
	// BatchSize bounds the messages under way; 0: 500.
	BatchSize int
	// PollInterval backs up the notifications; 0: 1 s.
	PollInterval time.Duration
	// Retention is how long published rows stay; 0: 24 h.
	Retention time.Duration

	// Faults makes things go wrong on purpose; nil: nothing ever does.
	Faults     *fault.Set
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

const (
	defaultBatchSize    = 500
	defaultPollInterval = time.Second
	defaultRetention    = 24 * time.Hour

	// After it had something to do, the relay looks again this often, for this long,
	// without being woken: longer than a Writer stays silent.
	hotPoll = 5 * time.Millisecond
	hotTime = 3 * notifyEvery

	firstPause   = 100 * time.Millisecond
	longestPause = 2 * time.Second

	statsInterval   = 5 * time.Second
	cleanupInterval = time.Minute
	cleanupChunk    = 5000
	goodbyeTimeout  = 5 * time.Second
)

// Relay publishes stored messages.
type Relay struct {
	config  RelayConfig
	log     *slog.Logger
	metrics *relayMetrics

	// mu guards state, which is why the relay is not ready.
	mu    sync.Mutex
	state error
}

// NewRelay validates the configuration.
func NewRelay(c RelayConfig) (*Relay, error) {
	if c.Pool == nil || c.Publisher == nil {
		return nil, errors.New("outbox relay: Pool and Publisher must be set")
	}
	if c.BatchSize < 0 || c.PollInterval < 0 || c.Retention < 0 {
		return nil, errors.New("outbox relay: a value is negative")
	}
	if c.BatchSize == 0 {
		c.BatchSize = defaultBatchSize
	}
	if c.PollInterval == 0 {
		c.PollInterval = defaultPollInterval
	}
	if c.Retention == 0 {
		c.Retention = defaultRetention
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Relay{
		config: c, log: c.Logger, metrics: newRelayMetrics(c.Registerer),
		state: errors.New("outbox relay is not started"),
	}, nil
}

// Run publishes until ctx ends. It survives the absence of Postgres and of the broker.
func (r *Relay) Run(ctx context.Context) error {
	defer r.setState(errors.New("outbox relay is stopped"))
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		started := time.Now()
		err := r.session(ctx)
		r.metrics.leader.Set(0)
		if ctx.Err() != nil {
			return nil
		}
		r.setState(fmt.Errorf("outbox relay has no database: %w", err))
		r.log.WarnContext(ctx, "outbox relay lost its database, will try again", "error", err, "next_try", pause)
		if time.Since(started) > longestPause {
			pause = firstPause
		}
		if !wait(ctx, pause) {
			return nil
		}
	}
}

// Ready returns nil while the relay can reach its database, as the leader or standing by.
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

// session is one connection's life: stand by, lead. It returns why it ended.
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
		_ = conn.Close(ctx) // gives the lock back
	}()
	// A mark that a crash of Postgres loses costs a duplicate, which the inbox of the
	// readers drops; so marking need not wait for the disk.
	if _, err := conn.Exec(ctx, `SET synchronous_commit = off`); err != nil {
		return err
	}
	if err := r.standBy(ctx, conn); err != nil {
		return err
	}
	r.log.InfoContext(ctx, "outbox relay leads")
	r.metrics.leader.Set(1)
	return r.lead(ctx, conn)
}

// lockID is the advisory lock of the leader. It belongs to the database.
var lockID = func() int64 {
	h := fnv.New64a()
	h.Write([]byte("millrace:outbox-relay"))
	return int64(h.Sum64())
}()

// standBy returns when this session leads. To wait inside of pg_advisory_lock would
// hold back Postgres' vacuum, so it asks from time to time.
func (r *Relay) standBy(ctx context.Context, conn *pgx.Conn) error {
	for {
		var leads bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, lockID).Scan(&leads); err != nil {
			return err
		}
		r.setState(nil)
		if leads {
			return nil
		}
		if !wait(ctx, r.config.PollInterval) {
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

// lead publishes until ctx ends or the connection fails.
func (r *Relay) lead(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, `LISTEN `+channel); err != nil {
		return err
	}
	var (
		published   []int64 // to be marked
		lastBusy    = time.Now()
		nextStats   time.Time
		nextCleanup = time.Now().Add(rand.N(cleanupInterval))
		pause       = firstPause
		lastCall    time.Time // when an end must have come, once ctx has ended
	)
	for {
		// What the broker has acknowledged gets marked also when ctx has just ended.
		rows, err := r.markAndFetch(ctx, conn, published)
		if err != nil {
			return err
		}
		if len(published) > 0 {
			if err := r.config.Faults.Hit(ctx, fault.RelayAfterMark); err != nil {
				return err
			}
		}
		published = published[:0]
		now := time.Now()
		if now.After(nextStats) {
			if err := r.stats(ctx, conn); err != nil {
				return err
			}
			nextStats = now.Add(statsInterval)
		}
		if now.After(nextCleanup) {
			deleted, err := Cleanup(ctx, conn, r.config.Retention)
			if err != nil {
				return err
			}
			if deleted < cleanupChunk {
				nextCleanup = now.Add(cleanupInterval)
			}
		}
		if ctx.Err() != nil {
			// What is stored goes out before the end, unless the broker is away: whoever
			// has stopped the service finds its events in the topics.
			if lastCall.IsZero() {
				lastCall = now.Add(goodbyeTimeout)
			}
			if len(rows) == 0 || pause > firstPause || now.After(lastCall) {
				return ctx.Err()
			}
		}
		if len(rows) == 0 {
			woken, err := r.sleep(ctx, conn, lastBusy)
			if err != nil {
				return err
			}
			if woken {
				lastBusy = time.Now()
			}
			continue
		}
		lastBusy = now
		done, err := r.publish(ctx, rows)
		published = append(published, done...)
		if err == nil {
			pause = firstPause
			continue
		}
		r.metrics.failures.Inc()
		r.log.WarnContext(ctx, "cannot publish from the outbox, will try again",
			"error", err, "messages", len(rows)-len(done), "next_try", pause)
		if len(done) > 0 {
			continue // mark these first; the next round meets the rest again
		}
		if !wait(ctx, pause) {
			return ctx.Err()
		}
		pause = min(2*pause, longestPause)
	}
}

// markAndFetch marks what has been published and returns what is next, in one round trip.
func (r *Relay) markAndFetch(ctx context.Context, conn *pgx.Conn, published []int64) ([]row, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTimeout)
	defer cancel()
	b := &pgx.Batch{}
	if len(published) > 0 {
		b.Queue(`UPDATE outbox SET published_at = clock_timestamp() WHERE id = ANY($1)`, published)
	}
	var rows []row
	b.Queue(`SELECT id, message_id, topic, key, payload, headers, created_at
		FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT $1`, r.config.BatchSize).
		Query(func(result pgx.Rows) error {
			for result.Next() {
				var (
					next      row
					messageID string
					key       []byte
					payload   []byte
					headers   map[string]string
					createdAt time.Time
				)
				if err := result.Scan(&next.id, &messageID, &next.topic, &key, &payload, &headers, &createdAt); err != nil {
					return err
				}
				next.message = message.NewMessage(messageID, payload)
				for name, value := range headers {
					next.message.Metadata[name] = value
				}
				if key != nil {
					next.message.Metadata[messaging.MetadataKey] = string(key)
				}
				messaging.SetCreatedAt(next.message, createdAt)
				rows = append(rows, next)
			}
			return result.Err()
		})
	if err := conn.SendBatch(ctx, b).Close(); err != nil {
		return nil, fmt.Errorf("read the outbox: %w", err)
	}
	return rows, nil
}

// publish sends rows, topic by topic, each in order. It returns which of them the
// broker has acknowledged.
func (r *Relay) publish(ctx context.Context, rows []row) (done []int64, err error) {
	var topics []string
	byTopic := make(map[string][]row)
	for _, next := range rows {
		if _, ok := byTopic[next.topic]; !ok {
			topics = append(topics, next.topic)
		}
		byTopic[next.topic] = append(byTopic[next.topic], next)
	}
	var errs []error
	for _, topic := range topics {
		batch := byTopic[topic]
		messages := make([]*message.Message, len(batch))
		for i, next := range batch {
			messages[i] = next.message
		}
		err := r.send(ctx, topic, messages)
		var partial *messaging.PublishError
		isPartial := errors.As(err, &partial)
		for i, next := range batch {
			if err == nil || isPartial && partial.Failed[i] == nil {
				done = append(done, next.id)
			}
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	r.metrics.published.Add(float64(len(done)))
	return done, errors.Join(errs...)
}

// send publishes, between the places where that can be made to fail. A failure after the
// broker's answer loses that answer: the rows are sent again.
func (r *Relay) send(ctx context.Context, topic string, messages []*message.Message) error {
	attr := fault.Attr{Key: fault.Topic, Value: topic}
	if err := r.config.Faults.Hit(ctx, fault.RelayBeforePublish, attr); err != nil {
		return err
	}
	if err := r.config.Publisher.Publish(topic, messages...); err != nil {
		return err
	}
	err := r.config.Faults.Hit(ctx, fault.RelayAfterPublish, attr)
	if errors.Is(err, fault.ErrDuplicate) {
		return r.config.Publisher.Publish(topic, messages...)
	}
	return err
}

// sleep waits for a notification or the next look at the table.
func (r *Relay) sleep(ctx context.Context, conn *pgx.Conn, lastBusy time.Time) (woken bool, err error) {
	limit := r.config.PollInterval
	if time.Since(lastBusy) < hotTime {
		limit = min(limit, hotPoll)
	}
	waitCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	_, err = conn.WaitForNotification(waitCtx)
	switch {
	case err == nil:
		return true, nil
	case waitCtx.Err() != nil && !conn.IsClosed():
		return false, nil
	default:
		return false, err
	}
}

// stats updates the metrics of what is waiting.
func (r *Relay) stats(ctx context.Context, conn *pgx.Conn) error {
	var pending int64
	var oldest *time.Time
	err := conn.QueryRow(ctx, `SELECT count(*), min(created_at) FROM outbox WHERE published_at IS NULL`).Scan(&pending, &oldest)
	if err != nil {
		return err
	}
	r.metrics.pending.Set(float64(pending))
	r.metrics.oldest.set(oldest)
	return nil
}

// Cleanup deletes what was published longer ago than keep, a bounded number of rows,
// and returns how many. The relay that leads does so by itself.
func Cleanup(ctx context.Context, db Execer, keep time.Duration) (int64, error) {
	tag, err := db.Exec(ctx, `DELETE FROM outbox WHERE id IN (
		SELECT id FROM outbox WHERE published_at < now() - make_interval(secs => $1) ORDER BY published_at LIMIT $2)`,
		keep.Seconds(), cleanupChunk)
	return tag.RowsAffected(), err
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
