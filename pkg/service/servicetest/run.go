package servicetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
)

// patience bounds every wait; none takes nearly as long.
const patience = 60 * time.Second

// Running is a service under test.
type Running struct {
	URL  string
	Logs *Logs

	t    testing.TB
	stop func() error
}

// Start runs a service until Stop, or the end of the test. run gets a listener on a
// free port and somewhere to log to.
func Start(t testing.TB, run func(ctx context.Context, l net.Listener, logs io.Writer) error) *Running {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	logs := &Logs{}
	done := make(chan error, 1)
	go func() { done <- run(ctx, l, logs) }()
	r := &Running{URL: "http://" + l.Addr().String(), Logs: logs, t: t}
	r.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			return fmt.Errorf("the service does not end; its log:\n%s", logs)
		}
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("the service ended with: %v", err)
		}
	})
	return r
}

// Stop tells the service to stop, as SIGTERM does, and returns what Run returned.
func (r *Running) Stop() error { return r.stop() }

// Do sends a request with a JSON body, if there is one, and returns status and body.
func (r *Running) Do(method, path, body string) (int, string) {
	r.t.Helper()
	request, err := http.NewRequestWithContext(context.Background(), method, r.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, strings.TrimSpace(string(text))
}

// Ready waits until the service says that it is ready.
func (r *Running) Ready() {
	r.t.Helper()
	r.Answers("/readyz", http.StatusOK, "")
}

// Answers waits until GET path has a status, and a body that contains part.
func (r *Running) Answers(path string, status int, part string) {
	r.t.Helper()
	var got int
	var body string
	Eventually(r.t, fmt.Sprintf("GET %s answers %d with %q", path, status, part), func() bool {
		got, body = r.Do(http.MethodGet, path, "")
		return got == status && strings.Contains(body, part)
	}, func() string { return fmt.Sprintf("last answer: %d %s\nlog:\n%s", got, body, r.Logs) })
}

// Eventually waits for a condition that nothing signals. why tells more if it never comes.
func Eventually(t testing.TB, what string, condition func() bool, why func() string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s\n%s", what, why())
		}
	}
}

// Broker starts a broker inside the test, with the shop's topics.
func Broker(t testing.TB, options ...kfake.Opt) messaging.Config {
	t.Helper()
	all := []kfake.Opt{kfake.NumBrokers(1)}
	for _, topic := range events.Topics() {
		all = append(all, kfake.SeedTopics(topic.Partitions, topic.Name))
	}
	cluster, err := kfake.NewCluster(append(all, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	c := messaging.DefaultConfig()
	c.Brokers = cluster.ListenAddrs()
	return c
}

// Publish publishes an event, with this message id.
func Publish(t testing.TB, c messaging.Config, id string, e events.Event) {
	t.Helper()
	payload, err := events.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	record := &kgo.Record{Topic: e.Topic(), Key: []byte(e.Key()), Value: payload, Headers: []kgo.RecordHeader{{Key: events.HeaderMessageID, Value: []byte(id)}}}
	for name, value := range events.Headers(e) {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	produce(t, c, record)
}

// PublishRaw publishes what need not be an event, as a foreign producer would.
func PublishRaw(t testing.TB, c messaging.Config, topic, key string, value []byte) {
	t.Helper()
	produce(t, c, &kgo.Record{Topic: topic, Key: []byte(key), Value: value})
}

func produce(t testing.TB, c messaging.Config, record *kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(context.Background(), record).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// Records reads the first n records of a topic.
func Records(t testing.TB, c messaging.Config, topic string, n int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var all []*kgo.Record
	for len(all) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read %s: %v after %d of %d records", topic, err, len(all), n)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

// Logs keeps what a service logs.
type Logs struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *Logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *Logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
