package service

import (
	"context"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/prometheus/client_golang/prometheus"

	"millrace/pkg/wrongway"
	"millrace/pkg/wrongway/ackbeforework"
	"millrace/pkg/wrongway/autocommit"
	"millrace/pkg/wrongway/cursoroutbox"
	"millrace/pkg/wrongway/dedupbeforehandler"
	"millrace/pkg/wrongway/nokey"
	"millrace/pkg/wrongway/plain"
	"millrace/pkg/wrongway/unboundednack"
)

// This file is the only one of the package that knows of the wrong ways. It decides once, before
// anything is built, which constructors build it; what the constructors of the right way build knows nothing of it.

// ValidateFor is Validate with what only the service's name tells: whether it has the wrong ways.
func (c Config) ValidateFor(service string) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if len(c.WrongWays) == 0 {
		return nil
	}
	if !c.Faults.Allowed {
		return Invalid("WRONG_WAYS", strings.Join(c.WrongWays, ","), "nothing, unless FAULTS_ENABLED=true")
	}
	if _, err := wrongway.ParseFor(service, c.WrongWays); err != nil {
		return invalidBecause("WRONG_WAYS", err)
	}
	return nil
}

// takeWrongWays returns the constructors for the parts of a service: those of the right way, with the ones in their place
// that WRONG_WAYS names. Each is announced in the log and in the metric wrong_way_enabled.
func (s *server) takeWrongWays(ctx context.Context) (constructors, error) {
	c := s.program.Config
	build := rightWay
	if err := c.ValidateFor(s.program.Name); err != nil {
		return build, err
	}
	enabled := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "wrong_way_enabled", Help: "1 for what this service does wrong on purpose, see docs/wrong-ways.md.",
	}, []string{"name"})
	if err := s.telemetry.Registry.Register(enabled); err != nil {
		return build, err
	}
	for _, way := range wrongway.All() {
		if way.In(s.program.Name) {
			enabled.WithLabelValues(way.Name).Set(0)
		}
	}
	ways, err := wrongway.ParseFor(s.program.Name, c.WrongWays)
	if err != nil {
		return build, err
	}
	for _, way := range ways {
		enabled.WithLabelValues(way.Name).Set(1)
		s.log.WarnContext(ctx, "WRONG ON PURPOSE: "+way.Does, "wrong_way", way.Name, "breaks", way.Breaks, "watch", way.Watch) //nolint:sloglint // a sentence of its own for each
		switch way.Name {
		case wrongway.AckBeforeWork:
			build.consumer = plainConsumer(ackbeforework.New)
		case wrongway.AutoCommit:
			build.consumer = plainConsumer(autocommit.New)
		case wrongway.DedupBeforeHandler:
			build.consumer = plainConsumer(dedupbeforehandler.New)
		case wrongway.UnboundedNack:
			build.consumer = plainConsumer(unboundednack.New)
		case wrongway.CursorOutbox:
			build.relay = cursorRelay
		case wrongway.NoKey:
			build.publisher = func(e *Env) message.Publisher { return nokey.New(e.Publisher) }
		case wrongway.DualWrite: // the service's own store, see its file wrongway.go
		}
	}
	return build, nil
}

func plainConsumer(construct func(plain.Config) (*plain.Consumer, error)) func(*Env, string) (Consumer, error) {
	return func(e *Env, group string) (Consumer, error) {
		c, err := construct(plain.Config{
			Kafka: e.Config.Kafka, Group: group, Faults: e.Faults,
			Logger: e.Log, TracerProvider: e.Telemetry.TracerProvider, Registerer: e.Registerer,
		})
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

func cursorRelay(e *Env, p message.Publisher) (Component, error) {
	relay, err := cursoroutbox.New(cursoroutbox.Config{
		Pool: e.Pool, Publisher: p, Faults: e.Faults, Logger: e.Log, Registerer: e.Registerer,
	})
	if err != nil {
		return Component{}, err
	}
	return Component{Name: "relay", Run: relay.Run, Ready: relay.Ready}, nil
}
