package main

import (
	"context"

	"github.com/spf13/cobra"

	"millrace/internal/part"
	inventory "millrace/services/inventory/app"
	notification "millrace/services/notification/app"
	order "millrace/services/order/app"
)

// serviceCommand is one of the services as a subcommand.
type serviceCommand struct {
	name, short string
	// configure reads the settings from an environment and returns what runs the
	// service with them.
	configure func(environ []string) (func(context.Context) error, error)
}

var (
	orderService = serviceCommand{"order", "Run the order service", func(environ []string) (func(context.Context) error, error) {
		c, err := order.FromEnv(environ)
		return func(ctx context.Context) error { return order.Run(ctx, c) }, err
	}}
	inventoryService = serviceCommand{"inventory", "Run the inventory service", func(environ []string) (func(context.Context) error, error) {
		c, err := inventory.FromEnv(environ)
		return func(ctx context.Context) error { return inventory.Run(ctx, c) }, err
	}}
	notificationService = serviceCommand{"notification", "Run the notification service", func(environ []string) (func(context.Context) error, error) {
		c, err := notification.FromEnv(environ)
		return func(ctx context.Context) error { return notification.Run(ctx, c) }, err
	}}
)

func newService(p *program, s serviceCommand) *cobra.Command {
	return &cobra.Command{
		Use:   s.name,
		Short: s.short,
		Long: s.short + `.

Settings come from the environment (services/` + s.name + `/README.md has the table);
DATABASE_URL is required.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			run, err := s.configure(p.environ)
			if err != nil {
				return &usageError{&hinted{err: err, hint: "The settings of the service come from the environment: services/" + s.name + "/README.md\nSubcommands and flags: millrace " + s.name + " --help\nThe whole shop, all settings made: millrace up"}}
			}
			return part.Run(cmd.Context(), run)
		},
	}
}
