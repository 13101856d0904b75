package main

import (
	"context"

	"github.com/spf13/cobra"

	"millrace/internal/collector"
	"millrace/internal/part"
)

func newCollector(p *program) *cobra.Command {
	var config collector.Config
	c := &cobra.Command{
		Use:   "collector",
		Short: "Run the trace collector: takes spans by OTLP over HTTP, answers `trace`",
		Long: `Run the trace collector: takes spans by OTLP over HTTP, answers ` + "`millrace trace`" + `.

Spans are passed on to OTEL_EXPORTER_OTLP_ENDPOINT where that is set, with
OTEL_EXPORTER_OTLP_HEADERS.`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&config.Listen, "listen", "127.0.0.1:4318", "address for OTLP over HTTP, and for queries")
	c.Flags().StringVar(&config.Dir, "data", "", "folder for the spans (default: they are kept in memory)")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		config.Forward, config.Headers = p.getenv("OTEL_EXPORTER_OTLP_ENDPOINT"), p.getenv("OTEL_EXPORTER_OTLP_HEADERS")
		if config.Forward != "" {
			if _, err := collector.NewForwarder(config.Forward, config.Headers, p.logger()); err != nil {
				return &usageError{err}
			}
		}
		return part.Run(cmd.Context(), func(ctx context.Context) error { return collector.Run(ctx, config, p.logger()) })
	}
	return c
}
