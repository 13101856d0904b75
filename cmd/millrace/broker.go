package main

import (
	"context"
	"errors"
	"flag"

	"github.com/spf13/cobra"

	"millrace/broker/brokercmd"
	"millrace/internal/part"
)

func newBroker(p *program) *cobra.Command {
	var o brokercmd.Options
	c := &cobra.Command{
		Use:   "broker --data DIR",
		Short: "Run the broker alone: durable, speaks Kafka's protocol",
		Example: `  millrace broker --listen 127.0.0.1:9092 --data ./broker-data
  millrace broker --data ./broker-data --set num.partitions=4 --set log.retention.ms=86400000`,
		Args: cobra.NoArgs,
	}
	flags := flag.NewFlagSet("broker", flag.ContinueOnError)
	o.Register(flags)
	c.Flags().AddGoFlagSet(flags)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		err := part.Run(cmd.Context(), func(ctx context.Context) error { return brokercmd.Run(ctx, o, p.logger()) })
		var usage *brokercmd.UsageError
		if errors.As(err, &usage) {
			return &usageError{err}
		}
		return err
	}
	return c
}
