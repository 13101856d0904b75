package messaging

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"

	"millrace/pkg/fault"
)

// intake stands between sarama's group session and watermill-kafka's handler of it,
// for one topic. It is what makes a drain possible: watermill-kafka's Close drops
// the message in hand, and its acknowledgement after the start of a rebalance.
//
//	sarama claim ──▶ intake (stops when draining or when the session ends) ──▶ watermill-kafka ──▶ router ──▶ handler
//	sarama session ◀── MarkMessage, unless the message was released ◀── ack
//
// It takes the place of a tracer, which is where watermill-kafka lets others in.
type intake struct {
	group, topic string
	// original is the topic whose handler gets the messages: topic itself, or the one
	// that topic is the retry topic of.
	original string
	metrics  consumerMetrics
	faults   *fault.Set
	// draining is closed when the consumer begins to shut down.
	draining <-chan struct{}

	// mu guards all below.
	mu     sync.Mutex
	claims map[int32]*claim
	// idle is closed while no claim is active; a new one replaces it.
	idle   chan struct{}
	joined bool
	// since is when joined changed.
	since time.Time
}

var _ kafka.SaramaTracer = (*intake)(nil)

func newIntake(group, topic, original string, m consumerMetrics, draining <-chan struct{}) *intake {
	idle := make(chan struct{})
	close(idle)
	return &intake{
		group: group, topic: topic, original: original, metrics: m, draining: draining,
		claims: make(map[int32]*claim), idle: idle,
	}
}

// isRetry tells whether the records are described by [events.Retry].
func (in *intake) isRetry() bool { return in.topic != in.original }

// claim is one partition while this instance has it.
type claim struct {
	// session ends with the group's generation: a rebalance, a lost broker, a close.
	session context.Context
	// stopped is closed when no further message may be taken.
	stopped  chan struct{}
	stopOnce sync.Once
	// released is set when a message was given back: from then on nothing may be
	// marked, or the group's offset would step over it.
	released atomic.Bool
	ledger   *ledger
	// highWater is the offset behind the partition's last record, as of the last fetch.
	highWater func() int64
	// since is the time (in Unix nanoseconds) from which the message in hand waits for
	// us, or the last one did; busy tells which.
	since atomic.Int64
	busy  atomic.Bool
}

// began notes that a message is in hand that has waited since a time, if that is known.
func (c *claim) began(since time.Time) {
	c.since.Store(0)
	if !since.IsZero() {
		c.since.Store(since.UnixNano())
	}
	c.busy.Store(true)
}

func (c *claim) stop() { c.stopOnce.Do(func() { close(c.stopped) }) }

// release gives the message in hand back to the group: it will be delivered again.
func (c *claim) release() {
	c.released.Store(true)
	c.stop()
}

// claim returns the active claim of a partition, or nil.
func (in *intake) claim(partition int32) *claim {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.claims[partition]
}

// drained returns a channel that is closed when no message is in hand. It has a
// meaning only while draining.
func (in *intake) drained() <-chan struct{} {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.idle
}

// rebalanceGrace is how long a member may be outside of its group, as in a
// rebalance, and still count as ready.
const rebalanceGrace = 5 * time.Second

// ready tells why this instance takes no messages.
func (in *intake) ready() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.joined, !in.since.IsZero() && time.Since(in.since) < rebalanceGrace:
		return nil
	case in.since.IsZero():
		return fmt.Errorf("group %s has not been joined for topic %s yet", in.group, in.topic)
	default:
		return fmt.Errorf("group %s is not joined for topic %s since %s", in.group, in.topic, in.since.UTC().Format(time.RFC3339))
	}
}

func (in *intake) setJoined(joined bool, partitions int) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.joined != joined {
		in.joined, in.since = joined, time.Now()
	}
	value := 0.0
	if joined {
		value = 1
	}
	in.metrics.joined.WithLabelValues(in.group, in.topic).Set(value)
	in.metrics.partitions.WithLabelValues(in.group, in.topic).Set(float64(partitions))
}

func (in *intake) add(partition int32, c *claim) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.claims) == 0 {
		in.idle = make(chan struct{})
	}
	in.claims[partition] = c
}

func (in *intake) remove(partition int32) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.claims, partition)
	if len(in.claims) == 0 {
		close(in.idle)
	}
}

// WrapConsumerGroupHandler implements kafka.SaramaTracer.
func (in *intake) WrapConsumerGroupHandler(h sarama.ConsumerGroupHandler) sarama.ConsumerGroupHandler {
	return groupHandler{in, h}
}

// WrapConsumer implements kafka.SaramaTracer.
func (in *intake) WrapConsumer(c sarama.Consumer) sarama.Consumer { return c }

// WrapPartitionConsumer implements kafka.SaramaTracer.
func (in *intake) WrapPartitionConsumer(c sarama.PartitionConsumer) sarama.PartitionConsumer {
	return c
}

// WrapSyncProducer implements kafka.SaramaTracer.
func (in *intake) WrapSyncProducer(_ *sarama.Config, p sarama.SyncProducer) sarama.SyncProducer {
	return p
}

// groupHandler is the sarama.ConsumerGroupHandler of an intake.
type groupHandler struct {
	in    *intake
	inner sarama.ConsumerGroupHandler
}

// Setup runs when the group has been joined.
func (h groupHandler) Setup(s sarama.ConsumerGroupSession) error {
	h.in.setJoined(true, len(s.Claims()[h.in.topic]))
	return h.inner.Setup(s)
}

// Cleanup runs when a generation of the group has ended.
func (h groupHandler) Cleanup(s sarama.ConsumerGroupSession) error {
	h.in.setJoined(false, 0)
	return h.inner.Cleanup(s)
}

// ConsumeClaim passes messages on until the session ends or a drain begins. Then the
// message in hand is still finished and marked: sarama commits what is marked after
// all claims have returned.
func (h groupHandler) ConsumeClaim(s sarama.ConsumerGroupSession, sc sarama.ConsumerGroupClaim) error {
	c := &claim{
		session: s.Context(), stopped: make(chan struct{}),
		ledger: newLedger(sc.InitialOffset()), highWater: sc.HighWaterMarkOffset,
	}
	h.in.add(sc.Partition(), c)
	messages := make(chan *sarama.ConsumerMessage)
	var forwarder sync.WaitGroup
	forwarder.Go(func() {
		defer close(messages)
		if h.in.isRetry() {
			h.in.forwardDue(c, sc.Messages(), messages)
		} else {
			h.in.forward(c, sc.Messages(), messages)
		}
	})
	held := heldSession{s, context.WithoutCancel(s.Context()), c, h.in.acknowledged}
	err := h.inner.ConsumeClaim(held, heldClaim{sc, messages})
	c.stop()
	forwarder.Wait()
	h.in.remove(sc.Partition())
	// To return would end the session, and take the partitions away from the handlers
	// that are still at work.
	<-s.Context().Done()
	return err
}

// acknowledged is where a message is done with. Its offset is committed within a second.
func (in *intake) acknowledged(c *claim, m *sarama.ConsumerMessage) {
	err := in.faults.Hit(c.session, fault.ConsumeAfterAck,
		fault.Attr{Key: fault.Group, Value: in.group}, fault.Attr{Key: fault.Topic, Value: in.original},
		fault.Attr{Key: fault.OrderID, Value: string(m.Key)})
	_ = err // nothing is left to fail
}

// over tells whether no further message may be taken.
func (in *intake) over(c *claim) bool {
	select {
	case <-c.stopped:
	case <-in.draining:
	case <-c.session.Done():
	default:
		return false
	}
	return true
}

// forward hands on the records of a topic as they come.
func (in *intake) forward(c *claim, from <-chan *sarama.ConsumerMessage, to chan<- *sarama.ConsumerMessage) {
	for !in.over(c) { // which wins over a message that is there too
		select {
		case <-c.stopped:
		case <-in.draining:
		case <-c.session.Done():
		case m, ok := <-from:
			if !ok {
				return
			}
			c.ledger.take(m.Offset)
			select {
			case to <- m:
			case <-c.stopped:
			case <-in.draining:
			case <-c.session.Done():
			}
		}
	}
}

// forwardDue hands on the records of a retry topic when they are due, see [hold].
// Nothing waits in a place that a rebalance or a drain would have to wait for.
func (in *intake) forwardDue(c *claim, from <-chan *sarama.ConsumerMessage, to chan<- *sarama.ConsumerMessage) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var h hold
	for !in.over(c) {
		position, crowded := c.ledger.at()
		next, ok := h.first()
		if crowded {
			// The one that keeps the offset from moving goes first: the consumer writes
			// it to the end. If it is at work already, there is no need to.
			if lowest, held := h.at(position); held {
				next, ok = lowest, true
				next.due = time.Time{}
			}
		}
		source, sink := from, to
		if crowded || h.full() {
			source = nil
		}
		if !ok {
			sink = nil
		} else if wait := time.Until(next.due); wait > 0 {
			sink = nil
			timer.Reset(wait)
		}
		select {
		case <-c.stopped:
		case <-in.draining:
		case <-c.session.Done():
		case <-timer.C: // something is due
		case sink <- next.record:
			h.remove(next.record)
		case m, open := <-source:
			if !open {
				return
			}
			c.ledger.take(m.Offset)
			h.add(m)
		}
	}
}

// heldSession keeps its context beyond the end of the generation, so that
// watermill-kafka marks the message in hand also then.
type heldSession struct {
	sarama.ConsumerGroupSession
	ctx   context.Context
	claim *claim
	// acknowledged is told of each message that is done with.
	acknowledged func(*claim, *sarama.ConsumerMessage)
}

func (s heldSession) Context() context.Context { return s.ctx }

// MarkMessage marks what may be committed: all below the lowest unfinished record.
func (s heldSession) MarkMessage(m *sarama.ConsumerMessage, metadata string) {
	if s.claim.released.Load() {
		return
	}
	if position, moved := s.claim.ledger.finish(m.Offset); moved {
		s.MarkOffset(m.Topic, m.Partition, position, metadata)
	}
	s.acknowledged(s.claim, m)
}

// heldClaim is a claim whose messages come through an intake.
type heldClaim struct {
	sarama.ConsumerGroupClaim
	messages <-chan *sarama.ConsumerMessage
}

func (c heldClaim) Messages() <-chan *sarama.ConsumerMessage { return c.messages }
