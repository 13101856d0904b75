package messaging

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
)

// nackPause is what watermill-kafka waits after a Nack. It cannot be interrupted. Only
// a panic outside of the handler leads to a Nack: everything else ends in an
// acknowledgement, a dead letter or a release.
const nackPause = time.Second

// patientSubscriber is a kafka.Subscriber whose Subscribe does not fail while the
// broker is away: Watermill's router would give up for good.
type patientSubscriber struct {
	kafka *kafka.Subscriber
	log   *slog.Logger

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func newSubscriber(c Config, group string, in *intake, log *slog.Logger) (*patientSubscriber, error) {
	config, err := c.Sarama()
	if err != nil {
		return nil, err
	}
	inner, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers:               c.Brokers,
		Unmarshaler:           marshaler{},
		OverwriteSaramaConfig: config,
		ConsumerGroup:         group,
		NackResendSleep:       nackPause,
		ReconnectRetrySleep:   maxBackoff / 2,
		Tracer:                in,
	}, logAdapter{log})
	if err != nil {
		return nil, err
	}
	s := &patientSubscriber{kafka: inner, log: log}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Subscribe implements message.Subscriber.
func (s *patientSubscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	s.wg.Go(func() {
		defer close(out)
		in := s.subscribe(ctx, topic)
		if in == nil {
			return
		}
		// watermill-kafka closes in; until then it waits for each message's
		// acknowledgement, and gives up waiting when it is closed.
		for m := range in {
			out <- m
		}
	})
	return out, nil
}

func (s *patientSubscriber) subscribe(ctx context.Context, topic string) <-chan *message.Message {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, maxBackoff) {
		in, err := s.kafka.Subscribe(ctx, topic)
		if err == nil {
			return in
		}
		s.log.WarnContext(ctx, "cannot subscribe yet", "topic", topic, "error", err, "next_try", pause)
		if !wait(s.ctx, pause) { //nolint:contextcheck // ends with Close; the router's context need not
			return nil
		}
	}
}

// Close implements message.Subscriber.
func (s *patientSubscriber) Close() error {
	s.cancel()
	err := s.kafka.Close()
	s.wg.Wait()
	return err
}
