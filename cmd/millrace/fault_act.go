package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"millrace/internal/datadir"
	"millrace/internal/faultbook"
)

// brokerOptions say how to reach the broker of a running shop.
func (p *program) brokerOptions(s datadir.Shop) ([]kgo.Opt, error) {
	foreign := true
	for _, part := range s.Parts {
		if part.Name == "broker" {
			foreign = false
		}
	}
	brokers := strings.Split(s.Brokers, ",")
	kafka, err := kafkaClient(brokers, p.environ, foreign)
	if err != nil {
		return nil, err
	}
	return append(kafka.Options, kgo.SeedBrokers(brokers...)), nil
}

// poisonTimeout bounds the wait for the broker, which may have faults of its own.
const poisonTimeout = 30 * time.Second

// poison publishes a record that no handler can read.
func (p *program) poison(ctx context.Context, s datadir.Shop, topic string) error {
	options, err := p.brokerOptions(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, poisonTimeout)
	defer cancel()
	partition, offset, err := faultbook.PublishPoison(ctx, topic, options...)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "A record that nobody can read is at %s/%d/%d\n", topic, partition, offset)
	fmt.Fprintf(p.stderr, "See what becomes of it: millrace dlq list\n")
	return nil
}

// storm lets a throwaway member join and leave the group of a service, for a while or until Ctrl-C.
func (p *program) storm(ctx context.Context, s datadir.Shop, service string, lasts time.Duration) error {
	const longest = 10 * time.Minute
	if lasts <= 0 || lasts > longest {
		return &usageError{fmt.Errorf("--for %s; allowed: a duration above 0 and up to %s, as 20s", lasts, longest)}
	}
	options, err := p.brokerOptions(s)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, lasts)
	defer cancel()
	rounds := 0
	err = faultbook.RebalanceStorm(ctx, service, func(round int) {
		rounds = round
		fmt.Fprintf(p.stderr, "%s: a member has joined and left, %d\n", service, round)
	}, options...)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "A member has joined the group of %s and left it %d times\n", service, rounds)
	return nil
}
