package inbox_test

import (
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"millrace/pkg/messaging/inbox"
	"millrace/pkg/postgres"
	"millrace/pkg/postgres/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

func TestInsert_TellsWhatIsNew(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t, inbox.Migrations)
	insert := func(group, id string, outcome error) (isNew bool) {
		t.Helper()
		err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) (err error) {
			isNew, err = inbox.Insert(t.Context(), tx, group, id)
			return errors.Join(err, outcome)
		})
		if !errors.Is(err, outcome) {
			t.Fatal(err)
		}
		return isNew
	}
	failed := errors.New("the effect failed")
	for i, step := range []struct {
		group, id string
		outcome   error
		want      bool
	}{
		{"a", "1", failed, true}, // rolled back with its effect
		{"a", "1", nil, true},
		{"a", "1", nil, false},
		{"b", "1", nil, true},
		{"a", "2", nil, true},
	} {
		if got := insert(step.group, step.id, step.outcome); got != step.want {
			t.Errorf("step %d: new is %v, want %v", i, got, step.want)
		}
	}
}

func TestQueue_OnlyOneOfManyAtOnceIsNew(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t, inbox.Migrations)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		fresh int
	)
	for range 6 {
		wg.Go(func() {
			err := postgres.InTx(t.Context(), pool, func(tx pgx.Tx) error {
				b := &pgx.Batch{}
				inbox.Queue(b, "group", "message", func(isNew bool) {
					mu.Lock()
					defer mu.Unlock()
					if isNew {
						fresh++
					}
				})
				return tx.SendBatch(t.Context(), b).Close()
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if fresh != 1 {
		t.Errorf("%d were new, want 1", fresh)
	}
}

func TestCleanup_DeletesWhatIsOld(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t, inbox.Migrations)
	if _, err := pool.Exec(t.Context(), `INSERT INTO inbox SELECT 'g', i::text, now() - i * interval '1 hour' FROM generate_series(0, 4) i`); err != nil {
		t.Fatal(err)
	}
	if n, err := inbox.Cleanup(t.Context(), pool, 150*time.Minute); n != 2 || err != nil {
		t.Errorf("deleted %d, %v", n, err)
	}
}
