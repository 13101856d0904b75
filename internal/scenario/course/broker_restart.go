package course

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/scenario"
)

var brokerRestart = scenario.Scenario{
	Name: "broker-restart", Needs: scenario.PrivateBroker, Course: []string{"A6", "C3", "C4"},
	Play: playBrokerRestart,
}

const (
	restartRecords   = 2000
	restartKillAfter = 700 // records that are acknowledged when the broker is killed
	restartInFlight  = 50  // records under way at a time
)

type restartEvidence struct {
	Records      int `json:"records"`
	Acknowledged int `json:"acknowledged"`
	AckedBefore  int `json:"acknowledged_before_kill"`
	InTopic      int `json:"in_topic"`
	Lost         int `json:"lost"`
	Twice        int `json:"twice_in_topic"`
	OutOfOrder   int `json:"out_of_order"`
	// Read is what the consumer got that was there all the time; it was not restarted.
	Read             int     `json:"read_by_waiting_consumer"`
	ConsumerLost     int     `json:"consumer_lost"`
	DownSeconds      float64 `json:"down_seconds"`
	LongestAckWaitMS float64 `json:"longest_ack_wait_ms"`
}

func (e restartEvidence) Verdict() []scenario.Check {
	return []scenario.Check{
		is("in_the_middle", e.AckedBefore >= restartKillAfter && e.AckedBefore < e.Records, a{"n": e.AckedBefore, "of": e.Records}),
		is("goes_on", e.Records == restartRecords && e.Acknowledged == e.Records, a{"n": e.Acknowledged, "of": e.Records}),
		is("nothing_lost", e.Lost == 0, a{"n": e.InTopic, "lost": e.Lost}),
		is("once_in_order", e.Twice == 0 && e.OutOfOrder == 0, a{"twice": e.Twice, "wrong": e.OutOfOrder}),
		is("consumer", e.Read >= e.Records && e.ConsumerLost == 0, a{"n": e.Read, "lost": e.ConsumerLost}),
	}
}

func playBrokerRestart(ctx context.Context, s *scenario.Stage) (scenario.Evidence, error) {
	b, err := s.Env.Broker(ctx, scenario.PrivateBroker)
	if err != nil {
		return nil, err
	}
	topic, err := b.Topic(ctx, "ledger", 1)
	if err != nil {
		return nil, err
	}
	e := restartEvidence{Records: restartRecords}
	s.Explain("begin", a{"n": restartRecords})

	reading, stop := context.WithCancel(ctx)
	defer stop()
	consumed := make(chan error, 1)
	seen := map[string]int{}
	go func() { consumed <- consumeUntil(reading, b, topic, restartRecords, seen) }()

	w, err := newWriter(b, topic)
	if err != nil {
		return nil, err
	}
	written := make(chan error, 1)
	go func() { written <- w.run(ctx, restartRecords) }()
	if err := scenario.Poll(ctx, "the first acknowledgements", func(context.Context) error {
		if n := w.acked.Load(); n < restartKillAfter {
			return fmt.Errorf("%d of %d", n, restartKillAfter)
		}
		return nil
	}); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := b.Kill(); err != nil {
		return nil, err
	}
	e.AckedBefore = int(w.acked.Load())
	s.Event("killed", a{"n": e.AckedBefore})
	if err := b.Start(ctx); err != nil {
		return nil, err
	}
	e.DownSeconds = seconds(time.Since(began))
	s.Event("back", a{"took": time.Since(began)})
	if err := <-written; err != nil {
		return nil, err
	}
	e.Acknowledged, e.LongestAckWaitMS = int(w.acked.Load()), float64(w.longest.Load())
	s.Event("all_acked", a{"n": e.Acknowledged, "wait": time.Duration(w.longest.Load()) * time.Millisecond})
	if err := <-consumed; err != nil {
		return nil, err
	}
	for i := range restartRecords {
		n := seen[ledgerEntry(i)]
		e.Read += n
		if n == 0 {
			e.ConsumerLost++
		}
	}
	s.Event("consumer_read", a{"n": e.Read})
	stored, err := readWhole(ctx, b, topic)
	if err != nil {
		return nil, err
	}
	e = e.count(stored)
	s.Event("in_topic", a{"n": e.InTopic})
	return e, nil
}

// count adds what stands in the topic.
func (e restartEvidence) count(stored []*kgo.Record) restartEvidence {
	e.InTopic = len(stored)
	times := map[string]int{}
	latest := ""
	for _, r := range stored {
		value := string(r.Value)
		if times[value]++; times[value] > 1 {
			e.Twice++
		}
		if value < latest {
			e.OutOfOrder++
		}
		latest = max(latest, value)
	}
	for i := range e.Records {
		if times[ledgerEntry(i)] == 0 {
			e.Lost++
		}
	}
	return e
}

// ledgerEntry is the value of record i; the values sort as they were sent.
func ledgerEntry(i int) string { return fmt.Sprintf("entry %05d", i) }

// writer is a producer with a bounded number of records under way.
type writer struct {
	client  *kgo.Client
	acked   atomic.Int64
	longest atomic.Int64 // the longest wait for an acknowledgement, ms
}

func newWriter(b *scenario.Broker, topic string) (*writer, error) {
	client, err := b.Client(kgo.DefaultProduceTopic(topic), kgo.RequiredAcks(kgo.AllISRAcks()))
	return &writer{client: client}, err
}

// run sends n records and returns when each is acknowledged: the client sends again
// on its own what was under way when the broker died.
func (w *writer) run(ctx context.Context, n int) error {
	slots := make(chan struct{}, restartInFlight)
	failed := make(chan error, 1)
	for i := range n {
		select {
		case slots <- struct{}{}:
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
		sent := time.Now()
		w.client.Produce(ctx, kgo.StringRecord(ledgerEntry(i)), func(_ *kgo.Record, err error) {
			defer func() { <-slots }()
			if err != nil {
				select {
				case failed <- fmt.Errorf("produce: %w", err):
				default:
				}
				return
			}
			w.acked.Add(1)
			if ms := time.Since(sent).Milliseconds(); ms > w.longest.Load() {
				w.longest.Store(ms)
			}
		})
	}
	if err := w.client.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// consumeUntil reads a topic and notes the values until there are n different ones.
// A broker that is away is no error: the client comes back.
func consumeUntil(ctx context.Context, b *scenario.Broker, topic string, n int, seen map[string]int) error {
	client, err := b.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	for len(seen) < n {
		records, err := poll(ctx, client)
		if ctx.Err() != nil {
			return fmt.Errorf("the consumer has %d of %d records: %w", len(seen), n, ctx.Err())
		}
		if err != nil {
			continue // told once, and tried again by the client
		}
		for _, r := range records {
			seen[string(r.Value)]++
		}
	}
	return nil
}
