// Package parking keeps, in a service's Postgres, which messages of its groups have
// been put aside, so that a consumer can keep the order of the messages of one key: it
// is the [messaging.Parking] of the services.
//
// What makes it safe against a crash at any point:
//
//   - A row is written before its message is sent to the retry topic or the dead letter
//     topic. Without the message being there, the original comes again, finds its own
//     row, and is processed as if there were none.
//   - A row is deleted after the effect and before the acknowledgement. Without that, the
//     message comes again, the inbox drops it, and the row is deleted then.
//   - A row whose message the inbox has does not count: it may have been written by an
//     instance that did not know yet that it had lost the partition.
//
// It reads the table of package inbox, which has to be in the same database.
package parking

import (
	"context"
	"crypto/sha256"
	"embed"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgxpool"

	"millrace/pkg/messaging"
	"millrace/pkg/postgres"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations creates the table parked_messages.
var Migrations = postgres.Migrations{Name: "parking", FS: files, Dir: "migrations"}

// Store is a [messaging.Parking]. It is safe for concurrent use.
type Store struct{ pool *pgxpool.Pool }

var _ messaging.Parking = (*Store)(nil)

// NewStore returns a Store on a migrated database.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool} }

// Ahead implements [messaging.Parking].
func (s *Store) Ahead(ctx context.Context, m messaging.Place) (messaging.Ahead, error) {
	var (
		a             messaging.Ahead
		letter, retry *int64
		due           *time.Time
	)
	// Each part reads one entry of the index, however many messages of the key wait.
	err := s.pool.QueryRow(ctx, `
		WITH ahead AS (
			SELECT p.aside, p.record_offset, p.not_before FROM parked_messages p
			WHERE p.consumer_group = $1 AND p.topic = $2 AND p.topic_partition = $3 AND p.key_hash = $4 AND p.record_offset < $5
				AND NOT EXISTS (SELECT FROM inbox i WHERE i.consumer_group = p.consumer_group AND i.message_id = p.message_id)
		), retry AS (
			SELECT record_offset, not_before FROM ahead WHERE aside = 'retry' ORDER BY record_offset LIMIT 1
		)
		SELECT
			EXISTS (SELECT FROM parked_messages WHERE consumer_group = $1 AND topic = $2 AND topic_partition = $3 AND record_offset = $5),
			(SELECT record_offset FROM ahead WHERE aside = 'dead_letter' ORDER BY record_offset LIMIT 1),
			(SELECT record_offset FROM retry), (SELECT not_before FROM retry)`,
		m.Group, m.Topic, m.Partition, hash(m.Key), m.Offset).Scan(&a.Itself, &letter, &retry, &due)
	if err != nil {
		return messaging.Ahead{}, err
	}
	switch {
	case letter != nil:
		a.Where, a.Offset = messaging.AsideDeadLetter, *letter
	case retry != nil:
		a.Where, a.Offset = messaging.AsideRetry, *retry
		if due != nil {
			a.NotBefore = *due
		}
	}
	return a, nil
}

// PutAside implements [messaging.Parking].
func (s *Store) PutAside(ctx context.Context, m messaging.Place, where messaging.Aside, notBefore time.Time) error {
	var due *time.Time
	if !notBefore.IsZero() {
		due = &notBefore
	}
	_, err := s.pool.Exec(ctx, `
		INSERT INTO parked_messages (consumer_group, topic, topic_partition, record_offset, key_hash, message_id, aside, not_before)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (consumer_group, topic, topic_partition, record_offset)
		DO UPDATE SET key_hash = EXCLUDED.key_hash, message_id = EXCLUDED.message_id, aside = EXCLUDED.aside, not_before = EXCLUDED.not_before`,
		m.Group, m.Topic, m.Partition, m.Offset, hash(m.Key), storable(m.MessageID), where, due)
	return err
}

// WorkedOff implements [messaging.Parking].
func (s *Store) WorkedOff(ctx context.Context, m messaging.Place) error {
	_, err := s.pool.Exec(ctx, `
		DELETE FROM parked_messages WHERE consumer_group = $1 AND topic = $2 AND topic_partition = $3 AND record_offset = $4`,
		m.Group, m.Topic, m.Partition, m.Offset)
	return err
}

// Cleanup forgets messages that were put aside longer ago than keep, and returns how
// many. keep must be longer than the topics keep their messages: nobody can work them
// off any more.
func (s *Store) Cleanup(ctx context.Context, keep time.Duration) (int64, error) {
	tag, err := s.pool.Exec(ctx, `DELETE FROM parked_messages WHERE parked_at < now() - make_interval(secs => $1)`, keep.Seconds())
	return tag.RowsAffected(), err
}

func hash(key []byte) []byte {
	sum := sha256.Sum256(key)
	return sum[:]
}

// storable returns an id as far as a text column takes it. One that it does not take is
// not in the inbox either.
func storable(id string) string {
	const limit = 1 << 10
	if len(id) > limit || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
		return ""
	}
	return id
}
