package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"millrace/internal/mailbox"
	"millrace/internal/part"
	"millrace/pkg/fault"
	"millrace/pkg/service"
)

func newMail(p *program) *cobra.Command {
	var config mailbox.Config
	c := &cobra.Command{
		Use:   "mail",
		Short: "Run the mail catcher: takes every mail by SMTP, shows them by HTTP",
		Long: `Run the mail catcher: takes every mail by SMTP, shows them by HTTP.

FAULTS_ENABLED=true lets it be made to refuse mails, at /admin/faults (docs/faults.md);
FAULTS holds rules from the start.`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&config.SMTP, "smtp", "127.0.0.1:1025", "address for SMTP")
	c.Flags().StringVar(&config.HTTP, "http", "127.0.0.1:8025", "address for HTTP")
	c.Flags().StringVar(&config.Dir, "data", "", "folder for the mails (default: they are kept in memory)")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		faults, err := service.FromEnv[service.FaultConfig](p.environ)
		if err != nil {
			return &usageError{err}
		}
		registry, log := prometheus.NewRegistry(), p.logger()
		if config.Faults, err = faults.NewSet(log, registry, fault.SMTPPoints()...); err != nil {
			return &usageError{err}
		}
		config.Metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
		return part.Run(cmd.Context(), func(ctx context.Context) error { return mailbox.Run(ctx, config, log) })
	}
	return c
}
