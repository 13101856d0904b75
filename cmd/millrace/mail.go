package main

import (
	"context"

	"github.com/spf13/cobra"

	"millrace/internal/mailbox"
	"millrace/internal/part"
)

func newMail(p *program) *cobra.Command {
	var config mailbox.Config
	c := &cobra.Command{
		Use:   "mail",
		Short: "Run the mail catcher: takes every mail by SMTP, shows them by HTTP",
		Args:  cobra.NoArgs,
	}
	c.Flags().StringVar(&config.SMTP, "smtp", "127.0.0.1:1025", "address for SMTP")
	c.Flags().StringVar(&config.HTTP, "http", "127.0.0.1:8025", "address for HTTP")
	c.Flags().StringVar(&config.Dir, "data", "", "folder for the mails (default: they are kept in memory)")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return part.Run(cmd.Context(), func(ctx context.Context) error { return mailbox.Run(ctx, config, p.logger()) })
	}
	return c
}
