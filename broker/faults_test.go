package broker_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/broker/brokertest"
)

// fault sends a request to /admin/faults and returns the answer's status and body.
func fault(t *testing.T, b *brokertest.Broker, method, point, rule string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+b.HTTP+"/admin/faults"+point, strings.NewReader(rule))
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func setFault(t *testing.T, b *brokertest.Broker, point, rule string) {
	t.Helper()
	if status, body := fault(t, b, http.MethodPut, "/"+point, rule); status != http.StatusOK {
		t.Fatalf("%s %s: %d %s", point, rule, status, body)
	}
}

func newClient(t *testing.T, b *brokertest.Broker, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.Addr), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("orders")}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func produce(t *testing.T, c *kgo.Client, value string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return c.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr()
}

// values reads n records.
func values(t *testing.T, b *brokertest.Broker, n int) []string {
	t.Helper()
	c := newClient(t, b, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var got []string
	for len(got) < n {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%v after %v", err, got)
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	return got
}

// A lost answer makes the producer send again. The sequence number of an idempotent one
// tells that the records are there; another one's are there twice.
func TestFaults_LostAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options []kgo.Opt
		want    string
	}{
		"idempotent": {nil, "lost,next"},
		"not":        {[]kgo.Opt{kgo.DisableIdempotentWrite()}, "lost,lost,next"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := brokertest.Start(t, brokertest.WithFaults())
			producer := newClient(t, b, c.options...)
			setFault(t, b, "produce.after-append", `{"kind":"error","times":1,"match":{"topic":"orders"}}`)
			for _, value := range []string{"lost", "next"} {
				if err := produce(t, producer, value); err != nil {
					t.Fatalf("%s: %v", value, err)
				}
			}
			if got := strings.Join(values(t, b, 1+strings.Count(c.want, ",")), ","); got != c.want {
				t.Errorf("the log has %s, want %s", got, c.want)
			}
			if _, body := fault(t, b, http.MethodGet, "/produce.after-append", ""); !strings.Contains(body, `"fired":1`) {
				t.Error(body)
			}
		})
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A full disk refuses what is produced, loses nothing that was acknowledged, and is
// over when it is cleared.
func TestFaults_FullDisk(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	b := brokertest.Start(t, brokertest.WithFaults(), brokertest.WithLog(slog.New(slog.NewTextHandler(&log, nil))))
	if err := produce(t, newClient(t, b), "before"); err != nil { // makes the topic, which takes a second try
		t.Fatal(err)
	}
	c := newClient(t, b, kgo.RecordRetries(0), kgo.DisableIdempotentWrite(), kgo.ProducerBatchCompression(kgo.NoCompression()))
	setFault(t, b, "storage.append", `{"kind":"error"}`)
	for range 3 {
		if err := produce(t, c, "no room"); !errors.Is(err, kerr.KafkaStorageError) {
			t.Errorf("with a full disk: %v", err)
		}
	}
	if got := values(t, b, 1); got[0] != "before" {
		t.Errorf("read %v", got)
	}
	if status, _ := fault(t, b, http.MethodDelete, "", ""); status != http.StatusNoContent {
		t.Error(status)
	}
	if err := produce(t, c, "after"); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
	for _, said := range []string{"the disk is full, records are refused", "there is room on the disk again"} {
		if strings.Count(log.String(), said) != 1 {
			t.Errorf("the log does not say once that %s:\n%s", said, log.String())
		}
	}
	b.Restart()
	if got := strings.Join(values(t, b, 2), ","); got != "before,after" {
		t.Errorf("the log has %s", got)
	}
}

// A broker that refuses is one that a client cannot reach; afterwards it can.
func TestFaults_Refuse(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithFaults())
	c := newClient(t, b)
	if err := produce(t, c, "before"); err != nil {
		t.Fatal(err)
	}
	setFault(t, b, "connection.accept", `{"kind":"error"}`)
	setFault(t, b, "request.before-handle", `{"kind":"error"}`)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := c.Ping(ctx); err == nil {
		t.Error("it answers")
	}
	fault(t, b, http.MethodDelete, "", "")
	if err := produce(t, c, "after"); err != nil {
		t.Error(err)
	}
}

// Slow means late, for Produce and for Fetch, and for the topic that is meant.
func TestFaults_Slow(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithFaults())
	c := newClient(t, b)
	if err := produce(t, c, "first"); err != nil { // the topic is there now
		t.Fatal(err)
	}
	const delay = 300 * time.Millisecond
	setFault(t, b, "produce.before-append", `{"kind":"delay","delay":"300ms","match":{"topic":"orders"}}`)
	setFault(t, b, "fetch.before-read", `{"kind":"delay","delay":"300ms","match":{"topic":"orders"}}`)
	began := time.Now()
	if err := produce(t, c, "second"); err != nil || time.Since(began) < delay {
		t.Errorf("produced after %s, %v", time.Since(began), err)
	}
	began = time.Now()
	if got := values(t, b, 2); time.Since(began) < delay {
		t.Errorf("read %v after %s", got, time.Since(began))
	}
	for i, point := range []string{"produce.before-append", "fetch.before-read"} {
		if _, body := fault(t, b, http.MethodGet, "/"+point, ""); strings.Contains(body, `"fired":0`) {
			t.Errorf("%d: %s", i, body)
		}
	}
	metrics, err := http.Get("http://" + b.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer metrics.Body.Close()
	text, err := io.ReadAll(metrics.Body)
	if err != nil || !strings.Contains(string(text), `fault_injections_total{kind="delay",point="produce.before-append"} 1`) {
		t.Errorf("%v, %d bytes of metrics", err, len(text))
	}
	http.DefaultClient.CloseIdleConnections()
}

// A broker stops while requests hang.
func TestFaults_HangDoesNotHangTheStop(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithFaults())
	c := newClient(t, b)
	setFault(t, b, "fetch.before-read", `{"kind":"hang"}`)
	if err := produce(t, c, "x"); err != nil {
		t.Fatal(err)
	}
	reader := newClient(t, b, kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithCancel(t.Context())
	polled := make(chan struct{})
	go func() { reader.PollFetches(ctx); close(polled) }()
	for body := ""; !strings.Contains(body, `"fired":1`); {
		_, body = fault(t, b, http.MethodGet, "/fetch.before-read", "")
	}
	b.Stop()
	cancel()
	<-polled
}

func TestFaults_AreOffByDefault(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithHTTP())
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		if status, body := fault(t, b, method, "/storage.append", `{"kind":"error"}`); status != http.StatusForbidden || !strings.Contains(body, "--faults") {
			t.Errorf("%s: %s %s", method, strconv.Itoa(status), body)
		}
	}
}
