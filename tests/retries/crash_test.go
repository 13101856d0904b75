//go:build unix

package retries

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/broker/brokertest"
	"millrace/pkg/events"
	"millrace/pkg/fault"
	"millrace/pkg/messaging"
	"millrace/pkg/postgres/postgrestest"
)

// patience bounds every wait; only a failing test comes near it.
const patience = 2 * time.Minute

// broker returns a broker and a name that is new to it: one of the test's own, or that of
// MILLRACE_COMPAT_BROKERS.
func broker(t *testing.T) (addr, run string) {
	t.Helper()
	addr = os.Getenv("MILLRACE_COMPAT_BROKERS")
	if addr == "" {
		addr = brokertest.Start(t).Addr
	}
	return addr, "run-" + strings.ToLower(rand.Text()[:8])
}

// process is a consumer that runs as one.
type process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer // valid after ended
	ended  chan error
}

func startProcess(t *testing.T, addr, databaseURL, run, group, faults string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(os.Args[0]), ended: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), varBroker+"="+addr, varDatabase+"="+databaseURL, varRun+"="+run, varGroup+"="+group, varFaults+"="+faults)
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	return p
}

// wait returns how the process ended; it is killed when that takes too long.
func (p *process) wait() error {
	select {
	case err := <-p.ended:
		return err
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		return errors.Join(errors.New("the process did not end"), <-p.ended)
	}
}

func eventually(t *testing.T, what string, condition func() bool, why func() string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s\n%s", what, why())
		}
	}
}

// The messages of the test: a waits twice and b never, c is broken until it is mended.
var messages = []string{"a 1 fails 2", "b 1", "a 2", "c 1 is broken", "b 2", "c 2", "a 3 fails 1"}

var effects = map[string]string{"a": "a 1 fails 2, a 2, a 3 fails 1", "b": "b 1, b 2", "c": "c 1 is broken, c 2"}

// A consumer that is killed at any point, at its first or its second pass, leaves a
// state from which another one comes to the same end: each effect once, in the order of
// its key, and nothing put aside for ever.
func TestKilledAtEachPoint(t *testing.T) {
	addr, run := broker(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := messaging.EnsureTopics(t.Context(), kafkaAt(addr), nil, events.Topics()...); err != nil {
		t.Fatal(err)
	}
	for _, text := range messages {
		key, _, _ := strings.Cut(text, " ")
		record := &kgo.Record{Topic: events.TopicOrders, Key: []byte(key), Value: []byte(text), Headers: []kgo.RecordHeader{
			{Key: events.HeaderMessageID, Value: []byte(run + " " + text)}, {Key: headerRun, Value: []byte(run)},
		}}
		if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for _, skip := range []int{0, 1} {
		t.Run(fmt.Sprintf("pass %d", skip+1), func(t *testing.T) {
			// At the same time, however few processors there are: each mostly waits for its
			// group to notice that a member is gone.
			var wg sync.WaitGroup
			for _, point := range fault.ConsumerPoints() {
				rule := fmt.Sprintf("%s=crash,times=1,skip=%d", point, skip)
				wg.Go(func() { t.Run(string(point), func(t *testing.T) { killedAt(t, addr, client, run, rule) }) })
			}
			wg.Wait()
		})
	}
}

func killedAt(t *testing.T, addr string, client *kgo.Client, run, rule string) {
	t.Helper()
	group := run + "-" + strings.NewReplacer("=", "-", ",", "-", ".", "-").Replace(rule)
	databaseURL := postgrestest.NewURL(t, schema...)
	pool, err := pgxpool.New(t.Context(), databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(t.Context(), effectsTable); err != nil {
		t.Fatal(err)
	}

	killed := startProcess(t, addr, databaseURL, run, group, rule)
	err = killed.wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%s: ended with %v\n%s", rule, err, &killed.stderr)
	}

	second := startProcess(t, addr, databaseURL, run, group, "")
	defer func() {
		_ = second.cmd.Process.Signal(syscall.SIGTERM)
		if err := second.wait(); err != nil || t.Failed() {
			t.Errorf("%s: the second process: %v\n%s", rule, err, &second.stderr)
		}
	}()
	waitFor := func(key, want string) {
		t.Helper()
		eventually(t, rule+": the effects of "+key+" are "+want, func() bool { return effectsOf(t, pool, key) == want },
			func() string { return "they are " + effectsOf(t, pool, key) })
	}
	aside := func(want int) {
		t.Helper()
		var n int
		eventually(t, fmt.Sprintf("%s: %d messages are put aside", rule, want), func() bool {
			err := pool.QueryRow(t.Context(), `SELECT count(*) FROM parked_messages`).Scan(&n)
			return err == nil && n == want
		}, func() string { return fmt.Sprint("it is ", n) })
	}
	waitFor("a", effects["a"])
	waitFor("b", effects["b"])
	aside(2) // c 1 and c 2 are dead letters

	letters := lettersOf(t, client, group, 2)
	if got := effectsOf(t, pool, "c"); got != "" {
		t.Errorf("%s: the effects of c are %s", rule, got)
	}
	if _, err := pool.Exec(t.Context(), `INSERT INTO mended DEFAULT VALUES`); err != nil {
		t.Fatal(err)
	}
	for _, letter := range letters {
		if err := client.ProduceSync(t.Context(), redriven(letter)).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	waitFor("c", effects["c"])
	aside(0)
}

// effectsOf returns the effects of a key in their order.
func effectsOf(t *testing.T, pool *pgxpool.Pool, key string) string {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT payload FROM effects WHERE key = $1 ORDER BY n`, key)
	if err != nil {
		return err.Error()
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err.Error()
	}
	return strings.Join(all, ", ")
}

// lettersOf waits until the dead letter topic has a group's letters about n records, and
// returns one for each, in the order of the topic. A killed process may have left two of
// the same.
func lettersOf(t *testing.T, client *kgo.Client, group string, n int) []events.DeadLetter {
	t.Helper()
	var letters []events.DeadLetter
	eventually(t, fmt.Sprintf("%d dead letters of %s", n, group), func() bool {
		letters = nil
		seen := map[string]bool{}
		for _, record := range allRecords(t, client, events.TopicOrdersDLQ) {
			letter, err := events.DecodeDeadLetter(record.Value)
			if err != nil {
				t.Fatal(err)
			}
			if letter.Group == group && !seen[letter.MessageID] {
				seen[letter.MessageID] = true
				letters = append(letters, letter)
			}
		}
		return len(letters) == n
	}, func() string { return fmt.Sprintf("%+v", letters) })
	return letters
}

// allRecords reads a topic up to its present end.
func allRecords(t *testing.T, client *kgo.Client, topic string) []*kgo.Record {
	t.Helper()
	ends, err := kadm.NewClient(client).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	ends.Each(func(o kadm.ListedOffset) { want += int(o.Offset) })
	if want == 0 {
		return nil
	}
	seeds := client.OptValue(kgo.SeedBrokers).([]string)
	reader, err := kgo.NewClient(kgo.SeedBrokers(seeds...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var records []*kgo.Record
	for len(records) < want {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// redriven is a dead letter on its way back to its group.
func redriven(letter events.DeadLetter) *kgo.Record {
	retry := events.Retry{
		Reason: events.RetryRedrive, Topic: letter.OriginalTopic, Partition: letter.OriginalPartition, Offset: letter.OriginalOffset,
		Timestamp: letter.OriginalTimestamp, Group: letter.Group, Attempts: letter.Attempts, FirstFailure: letter.FirstFailure, RedriveID: "r-1",
	}
	record := &kgo.Record{Topic: events.RetryTopic(letter.OriginalTopic, letter.Group), Key: letter.OriginalKey, Value: letter.OriginalMessage}
	headers := maps.Clone(letter.Headers)
	maps.Copy(headers, retry.Headers())
	headers[events.HeaderMessageID] = letter.MessageID
	for name, value := range headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	return record
}
