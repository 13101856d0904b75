package postgres_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"millrace/pkg/events"
	"millrace/pkg/postgres/postgrestest"
	"millrace/services/notification"
	"millrace/services/notification/postgres"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// sender counts mails. before is called in the middle of each.
type sender struct {
	mu     sync.Mutex
	sent   int
	before func(ctx context.Context) error
}

func (s *sender) Send(ctx context.Context, _ notification.Mail) error {
	if s.before != nil {
		if err := s.before(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	return nil
}

func newStore(t *testing.T, s *sender) (*postgres.Store, *pgxpool.Pool) {
	t.Helper()
	pool := postgrestest.New(t, postgres.Migrations()...)
	return postgres.NewStore(pool, s, nil), pool
}

func rows(t *testing.T, pool *pgxpool.Pool, table string) (n int) {
	t.Helper()
	if err := pool.QueryRow(context.WithoutCancel(t.Context()), `SELECT count(*) FROM `+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

var (
	confirmation = notification.Mail{OrderID: "o-1", Kind: notification.Confirmation, Recipient: "customer_123@example.com", MessageID: "o-1.confirmation@example.com"}
	outcome      = notification.Mail{OrderID: "o-1", Kind: notification.Outcome, Recipient: "customer_123@example.com", MessageID: "o-1.outcome@example.com"}
)

func TestStore_SendsEachMailOnce(t *testing.T) {
	t.Parallel()
	s := &sender{}
	store, pool := newStore(t, s)
	for i, step := range []struct {
		message string
		mail    notification.Mail
		want    bool
	}{
		{"m-1", confirmation, true},
		{"m-1", confirmation, false}, // a second delivery
		{"m-2", confirmation, false}, // the same mail for another message
		{"m-2", confirmation, false},
		{"m-3", outcome, true},
	} {
		if sent, err := store.SendOnce(t.Context(), events.GroupNotification, step.message, step.mail); sent != step.want || err != nil {
			t.Errorf("step %d: sent %v, %v", i, sent, err)
		}
	}
	if s.sent != 2 || rows(t, pool, "mails") != 2 || rows(t, pool, "inbox") != 3 {
		t.Errorf("%d sent, %d mails, %d inbox rows; want 2, 2, 3", s.sent, rows(t, pool, "mails"), rows(t, pool, "inbox"))
	}
}

// A mail that was not taken leaves nothing behind, so that it is tried again.
func TestStore_FailedMailIsSentLater(t *testing.T) {
	t.Parallel()
	away := errors.New("mail server is away")
	s := &sender{before: func(context.Context) error { return away }}
	store, pool := newStore(t, s)
	for range 2 {
		if sent, err := store.SendOnce(t.Context(), events.GroupNotification, "m-1", confirmation); sent || !errors.Is(err, away) {
			t.Errorf("sent %v, %v", sent, err)
		}
	}
	if n := rows(t, pool, "mails") + rows(t, pool, "inbox"); n != 0 {
		t.Errorf("%d rows of a mail that was not sent", n)
	}
	s.before = nil
	if sent, err := store.SendOnce(t.Context(), events.GroupNotification, "m-1", confirmation); !sent || err != nil {
		t.Errorf("sent %v, %v", sent, err)
	}
}

// Another instance that gets the same message meanwhile waits, and finds it sent.
func TestStore_SecondDeliveryWaitsForTheFirst(t *testing.T) {
	t.Parallel()
	inHand, goOn := make(chan struct{}), make(chan struct{})
	s := &sender{before: func(context.Context) error {
		close(inHand) // twice would panic: the mail is sent once
		<-goOn
		return nil
	}}
	store, pool := newStore(t, s)
	var wg sync.WaitGroup
	var first, second bool
	wg.Go(func() {
		var err error
		if first, err = store.SendOnce(t.Context(), events.GroupNotification, "m-1", confirmation); err != nil {
			t.Error(err)
		}
	})
	<-inHand
	wg.Go(func() {
		var err error
		if second, err = store.SendOnce(t.Context(), events.GroupNotification, "m-1", confirmation); err != nil {
			t.Error(err)
		}
	})
	for waiting := 0; waiting == 0; { // until Postgres says that the second waits for a lock
		if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	close(goOn)
	wg.Wait()
	if !first || second || s.sent != 1 {
		t.Errorf("first %v, second %v, %d sent", first, second, s.sent)
	}
}

// When the handler's time is over in the moment in which the mail server takes the
// mail, the mail is marked all the same: it must not go out twice.
func TestStore_MarksAMailAlthoughTimeIsOver(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	s := &sender{before: func(context.Context) error { cancel(); return nil }}
	store, pool := newStore(t, s)
	if sent, err := store.SendOnce(ctx, events.GroupNotification, "m-1", confirmation); !sent || err != nil {
		t.Errorf("sent %v, %v", sent, err)
	}
	if rows(t, pool, "mails") != 1 {
		t.Error("a mail went out and is not marked")
	}
}

// The one window that is left: the connection to Postgres dies between the mail
// server's answer and the commit. Then the mail goes out a second time.
func TestStore_LostCommitSendsAgain(t *testing.T) {
	t.Parallel()
	s := &sender{}
	store, pool := newStore(t, s)
	s.before = func(ctx context.Context) error {
		_, err := pool.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND state = 'idle in transaction'`)
		return err
	}
	if sent, err := store.SendOnce(t.Context(), events.GroupNotification, "m-1", confirmation); sent || err == nil || strings.Contains(err.Error(), "refused") {
		t.Fatalf("sent %v, %v", sent, err)
	}
	s.before = nil
	if sent, err := store.SendOnce(t.Context(), events.GroupNotification, "m-1", confirmation); !sent || err != nil {
		t.Errorf("sent %v, %v", sent, err)
	}
	if s.sent != 2 {
		t.Errorf("%d copies; docs/guarantees.md says two here", s.sent)
	}
}
