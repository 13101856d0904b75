// Package deadletters measures the dead letters of a group that nobody has dealt with yet.
//
// A dead letter topic keeps every letter for good: one that was sent anew or given up is marked in the
// topic dlq-audit, not deleted. So the size of the topic says nothing. A [Watch] reads both from the start, then what is new
// every few seconds, and knows for each letter of its group whether it still waits. It asks no broker for more
// than records and offsets, so it works on any Kafka. Every instance of a service watches, and says the same.
package deadletters

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/prometheus/client_golang/prometheus"

	"millrace/pkg/events"
	"millrace/pkg/messaging"
)

// Config describes a [Watch]. Kafka and Group are required. Zero values mean the defaults named here.
type Config struct {
	Kafka messaging.Config
	// Group is the consumer group whose letters are counted.
	Group string
	// Topics are the topics that the group reads; their dead letter topics are watched.
	Topics []string
	// Interval is the pause between two looks; 0: 10 s.
	Interval time.Duration

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

const (
	defaultInterval = 10 * time.Second
	// silence ends the reading of a partition whose last records are not for consumers, as those of a transaction.
	silence = 2 * time.Second
	// maxLetters bounds the memory: letters beyond are counted as waiting, whatever becomes of them.
	maxLetters = 50_000
)

var (
	pendingDesc = prometheus.NewDesc("messaging_dead_letters_pending",
		"Dead letters of a group that were neither sent anew nor given up, by dead letter topic.", []string{"group", "topic"}, nil)
	ageDesc = prometheus.NewDesc("messaging_dead_letter_oldest_age_seconds",
		"Age of the oldest dead letter of a group that nobody has dealt with; 0: there is none.", []string{"group", "topic"}, nil)
)

// Watch is a prometheus.Collector of the two metrics. Make it with [New] and call Run once.
type Watch struct {
	config Config
	log    *slog.Logger

	mu       sync.Mutex // guards all below
	position map[place]int64
	letters  map[events.LetterID]*letter
	beyond   map[string]int // by topic: letters that did not fit
	looked   bool           // all was read once
}

type place struct {
	topic     string
	partition int32
}

type letter struct {
	at      time.Time
	settled bool
}

// New validates the configuration and registers the metrics.
func New(c Config) (*Watch, error) {
	if err := c.Kafka.Validate(); err != nil {
		return nil, err
	}
	if c.Group == "" || len(c.Topics) == 0 || c.Interval < 0 {
		return nil, errors.New("dead letters: Group and Topics must be set, and Interval not be negative")
	}
	if c.Interval == 0 {
		c.Interval = defaultInterval
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	w := &Watch{
		config: c, log: c.Logger.With("group", c.Group),
		position: make(map[place]int64), letters: make(map[events.LetterID]*letter), beyond: make(map[string]int),
	}
	if c.Registerer != nil {
		if err := c.Registerer.Register(w); err != nil {
			return nil, fmt.Errorf("dead letters: %w", err)
		}
	}
	return w, nil
}

// Run looks until ctx ends. A broker that is away is waited for.
func (w *Watch) Run(ctx context.Context) error {
	settings, err := w.config.Kafka.Sarama()
	if err != nil {
		return err
	}
	settings.Metadata.Retry.Max = 0 // the loop below does that
	settings.Consumer.MaxWaitTime = 100 * time.Millisecond
	var client sarama.Client
	defer func() {
		if client != nil {
			_ = client.Close()
		}
	}()
	for {
		err := func() (err error) {
			if client == nil {
				if client, err = sarama.NewClient(w.config.Kafka.Brokers, settings); err != nil {
					return err
				}
			}
			return w.look(ctx, client)
		}()
		if err != nil && ctx.Err() == nil {
			w.log.DebugContext(ctx, "dead letters cannot be counted, will try again", "error", err, "next_try", w.config.Interval)
			if client != nil {
				_ = client.Close()
				client = nil
			}
		}
		timer := time.NewTimer(w.config.Interval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
	}
}

// look reads what is new. The end of the audit is taken first: whatever is said there before it is about letters that the
// reading after it finds.
func (w *Watch) look(ctx context.Context, client sarama.Client) error {
	ends := make(map[place]int64)
	topics := []string{events.TopicDLQAudit}
	for _, topic := range w.config.Topics {
		topics = append(topics, events.DeadLetterTopic(topic))
	}
	if err := client.RefreshMetadata(); err != nil {
		return err
	}
	present, err := client.Topics()
	if err != nil {
		return err
	}
	exists := make(map[string]bool, len(present))
	for _, topic := range present {
		exists[topic] = true
	}
	for _, topic := range topics {
		if !exists[topic] {
			continue // nothing was ever put there
		}
		partitions, err := client.Partitions(topic)
		if err != nil {
			return err
		}
		for _, partition := range partitions {
			end, err := client.GetOffset(topic, partition, sarama.OffsetNewest)
			if err != nil {
				return err
			}
			ends[place{topic, partition}] = end
		}
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	defer func() { _ = consumer.Close() }()
	for _, topic := range append(topics[1:], topics[0]) { // letters, then what was done with them
		for at, end := range ends {
			if at.topic == topic {
				if err := w.read(ctx, client, consumer, at, end); err != nil {
					return err
				}
			}
		}
	}
	w.mu.Lock()
	w.looked = true
	w.mu.Unlock()
	return nil
}

// read reads a partition from where the last look ended.
func (w *Watch) read(ctx context.Context, client sarama.Client, consumer sarama.Consumer, at place, end int64) error {
	if w.upToDate(at, end) {
		return nil
	}
	start, err := client.GetOffset(at.topic, at.partition, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	from := w.from(at, start, end)
	if from >= end {
		return nil
	}
	records, err := consumer.ConsumePartition(at.topic, at.partition, from)
	if err != nil {
		return err
	}
	defer records.AsyncClose()
	timer := time.NewTimer(silence)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-records.Errors():
			return err
		case <-timer.C: // the rest is not for consumers
			w.reach(at, end)
			return nil
		case r := <-records.Messages():
			timer.Reset(silence)
			if r.Offset < end {
				w.take(r)
				w.reach(at, r.Offset+1)
			}
			if r.Offset+1 >= end {
				return nil
			}
		}
	}
}

// upToDate tells that nothing is new, and nothing is held that may be gone by now.
func (w *Watch) upToDate(at place, end int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range w.letters {
		if id.Topic == at.topic && id.Partition == at.partition {
			return false
		}
	}
	return w.position[at] == end
}

// from is where to read on. Letters below the log's start are gone; a topic that is shorter than it was is another one.
func (w *Watch) from(at place, start, end int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.position[at] > end {
		w.position[at] = 0
		w.forget(func(id events.LetterID) bool { return id.Topic == at.topic && id.Partition == at.partition })
		w.beyond[at.topic] = 0
	}
	if start > w.position[at] {
		w.position[at] = start
	}
	w.forget(func(id events.LetterID) bool {
		return id.Topic == at.topic && id.Partition == at.partition && id.Offset < start
	})
	return w.position[at]
}

// forget drops letters. The caller holds mu.
func (w *Watch) forget(which func(events.LetterID) bool) {
	for id := range w.letters {
		if which(id) {
			delete(w.letters, id)
		}
	}
}

func (w *Watch) reach(at place, offset int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.position[at] = max(w.position[at], offset)
}

func (w *Watch) take(r *sarama.ConsumerMessage) {
	if r.Topic == events.TopicDLQAudit {
		if a, err := events.DecodeAudit(r.Value); err == nil { // what is not in the form says nothing of a letter
			w.audit(a)
		}
		return
	}
	d, err := events.DecodeDeadLetter(r.Value)
	if err != nil || d.Group != w.config.Group {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	id := events.LetterID{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	if len(w.letters) >= maxLetters {
		w.forget(func(id events.LetterID) bool { return w.letters[id].settled }) // at the price of not seeing one restored
	}
	if len(w.letters) >= maxLetters {
		w.beyond[r.Topic]++
		return
	}
	w.letters[id] = &letter{at: r.Timestamp}
}

func (w *Watch) audit(a events.Audit) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.letters[a.Letter]
	if l == nil || !a.LetterTimestamp.IsZero() && !l.at.IsZero() && a.LetterTimestamp.UnixMilli() != l.at.UnixMilli() {
		return // another group's, or of an older topic of the same name
	}
	switch a.Action {
	case events.AuditRedriveDone, events.AuditDiscard:
		l.settled = true
	case events.AuditRestore:
		l.settled = false
	case events.AuditRedriveIntent, events.AuditRedriveFailed, events.AuditEdit: // it still waits
	}
}

// Describe implements prometheus.Collector.
func (w *Watch) Describe(c chan<- *prometheus.Desc) {
	c <- pendingDesc
	c <- ageDesc
}

// Collect implements prometheus.Collector. Before all was read once there is nothing to say.
func (w *Watch) Collect(c chan<- prometheus.Metric) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.looked {
		return
	}
	for _, topic := range w.config.Topics {
		topic := events.DeadLetterTopic(topic)
		pending, oldest := w.beyond[topic], time.Time{}
		for id, l := range w.letters {
			if id.Topic != topic || l.settled {
				continue
			}
			pending++
			if oldest.IsZero() || l.at.Before(oldest) {
				oldest = l.at
			}
		}
		age := 0.0
		if !oldest.IsZero() {
			age = max(0, time.Since(oldest).Seconds())
		}
		c <- prometheus.MustNewConstMetric(pendingDesc, prometheus.GaugeValue, float64(pending), w.config.Group, topic)
		c <- prometheus.MustNewConstMetric(ageDesc, prometheus.GaugeValue, age, w.config.Group, topic)
	}
}
