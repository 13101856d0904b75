//go:build unix

package retries

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/messaging"
	"millrace/pkg/messaging/inbox"
	"millrace/pkg/messaging/parking"
	"millrace/pkg/postgres"
	"millrace/pkg/postgres/postgrestest"
)

// Variables of a consumer that runs as a process of its own.
const (
	varBroker   = "RETRIES_TEST_BROKER"
	varDatabase = "RETRIES_TEST_DATABASE"
	varRun      = "RETRIES_TEST_RUN"
	varGroup    = "RETRIES_TEST_GROUP"
	varFaults   = "RETRIES_TEST_FAULTS"
)

// headerRun names the run of the test that a message belongs to.
const headerRun = "test_run"

func TestMain(m *testing.M) {
	if os.Getenv(varBroker) == "" {
		os.Exit(postgrestest.Main(m))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	err := consume(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// consume is the process: a consumer with a delayed tier and parking.
func consume(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	rules, err := fault.ParseRules(os.Getenv(varFaults))
	if err != nil {
		return err
	}
	set := fault.New(fault.Options{Logger: log}, fault.ConsumerPoints()...)
	if err := set.SetAll(rules); err != nil {
		return err
	}
	pool, err := postgres.Open(ctx, postgres.Config{URL: os.Getenv(varDatabase)}, postgres.Options{Logger: log})
	if err != nil {
		return err
	}
	defer pool.Close()
	kafka := kafkaAt(os.Getenv(varBroker))
	publisher, err := messaging.NewPublisher(kafka, messaging.PublisherOptions{Logger: log})
	if err != nil {
		return err
	}
	consumer, err := messaging.NewConsumer(messaging.ConsumerConfig{
		Kafka: kafka, Group: os.Getenv(varGroup), DeadLetters: publisher, Parking: parking.NewStore(pool), Faults: set, Logger: log,
		Retry: messaging.RetryPolicy{MaxAttempts: 1, Delays: []time.Duration{50 * time.Millisecond, 100 * time.Millisecond}},
	})
	if err != nil {
		return err
	}
	consumer.Handle(events.TopicOrders, func(ctx context.Context, d *messaging.Delivery) error {
		if d.Headers[headerRun] != os.Getenv(varRun) {
			return nil // of another test, on a broker that is not ours alone
		}
		return effect(ctx, pool, d)
	})
	return errors.Join(consumer.Run(ctx), publisher.Close())
}

func kafkaAt(addr string) messaging.Config {
	kafka := messaging.DefaultConfig()
	kafka.Brokers = []string{addr}
	return kafka
}

var schema = []postgres.Migrations{inbox.Migrations, parking.Migrations}

const effectsTable = `CREATE TABLE effects (n bigserial PRIMARY KEY, key text, payload text); CREATE TABLE mended ()`

// effect does what a payload says: "KEY NUMBER", then nothing, "fails N" times, or "is
// broken" until somebody has mended it.
func effect(ctx context.Context, pool *pgxpool.Pool, d *messaging.Delivery) error {
	text := string(d.Payload)
	if _, times, found := strings.Cut(text, " fails "); found {
		if n, err := strconv.Atoi(times); err != nil || d.Attempt <= n {
			return fmt.Errorf("try %d of %s: not yet", d.Attempt, text)
		}
	}
	return postgres.InTx(ctx, pool, func(tx pgx.Tx) error {
		if strings.HasSuffix(text, " is broken") {
			var mended bool
			if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM mended)`).Scan(&mended); err != nil {
				return err
			}
			if !mended {
				return messaging.Permanent(errors.New(text))
			}
		}
		isNew, err := inbox.Insert(ctx, tx, d.Group, d.ID)
		if err != nil || !isNew {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO effects (key, payload) VALUES ($1, $2)`, string(d.Key), text)
		return err
	})
}
