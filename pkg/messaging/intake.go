package messaging

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
)

// intake stands between sarama's group session and watermill-kafka's handler of it,
// for one handler. It is what makes a drain possible: watermill-kafka's Close drops
// the message in hand, and its acknowledgement after the start of a rebalance.
//
//	sarama claim ──▶ intake (stops when draining or when the session ends) ──▶ watermill-kafka ──▶ router ──▶ handler
//	sarama session ◀── MarkMessage, unless the message was released ◀── ack
//
// It takes the place of a tracer, which is where watermill-kafka lets others in.
type intake struct {
	group, topic string
	metrics      consumerMetrics
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

func newIntake(group, topic string, m consumerMetrics, draining <-chan struct{}) *intake {
	idle := make(chan struct{})
	close(idle)
	return &intake{group: group, topic: topic, metrics: m, draining: draining, claims: make(map[int32]*claim), idle: idle}
}

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
	c := &claim{session: s.Context(), stopped: make(chan struct{})}
	h.in.add(sc.Partition(), c)
	messages := make(chan *sarama.ConsumerMessage)
	var forwarder sync.WaitGroup
	forwarder.Go(func() {
		defer close(messages)
		h.in.forward(c, sc.Messages(), messages)
	})
	err := h.inner.ConsumeClaim(heldSession{s, context.WithoutCancel(s.Context()), c}, heldClaim{sc, messages})
	c.stop()
	forwarder.Wait()
	h.in.remove(sc.Partition())
	// To return would end the session, and take the partitions away from the handlers
	// that are still at work.
	<-s.Context().Done()
	return err
}

func (in *intake) forward(c *claim, from <-chan *sarama.ConsumerMessage, to chan<- *sarama.ConsumerMessage) {
	for {
		// A closed stop wins over a message that is there too.
		select {
		case <-c.stopped:
			return
		case <-in.draining:
			return
		case <-c.session.Done():
			return
		default:
		}
		select {
		case <-c.stopped:
			return
		case <-in.draining:
			return
		case <-c.session.Done():
			return
		case m, ok := <-from:
			if !ok {
				return
			}
			select {
			case to <- m:
			case <-c.stopped:
				return
			case <-in.draining:
				return
			case <-c.session.Done():
				return
			}
		}
	}
}

// heldSession keeps its context beyond the end of the generation, so that
// watermill-kafka marks the message in hand also then.
type heldSession struct {
	sarama.ConsumerGroupSession
	ctx   context.Context
	claim *claim
}

func (s heldSession) Context() context.Context { return s.ctx }

func (s heldSession) MarkMessage(m *sarama.ConsumerMessage, metadata string) {
	if !s.claim.released.Load() {
		s.ConsumerGroupSession.MarkMessage(m, metadata)
	}
}

// heldClaim is a claim whose messages come through an intake.
type heldClaim struct {
	sarama.ConsumerGroupClaim
	messages <-chan *sarama.ConsumerMessage
}

func (c heldClaim) Messages() <-chan *sarama.ConsumerMessage { return c.messages }
