package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"millrace/internal/part"
	"millrace/internal/shop"
	"millrace/pkg/postgres/embedded"
)

func newPostgres(p *program) *cobra.Command {
	var listen, data, state string
	c := &cobra.Command{
		Use:   "postgres --data DIR",
		Short: "Run a Postgres server of our own (found on this machine, or fetched once)",
		Args:  cobra.NoArgs,
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:15432", "address, on the loopback interface")
	c.Flags().StringVar(&data, "data", "", "folder for the databases")
	c.Flags().StringVar(&state, "state", "", "file that tells the superuser's URL while the server runs")
	_ = c.MarkFlagRequired("data")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		host, portText, err := net.SplitHostPort(listen)
		port, portErr := strconv.ParseUint(portText, 10, 16)
		if err != nil || portErr != nil || host != "127.0.0.1" {
			return &usageError{fmt.Errorf("--listen %q is not of the form 127.0.0.1:PORT", listen)}
		}
		config := embedded.Config{
			DataDir: data, Port: int(port), Output: p.stderr, Logger: p.logger(),
			Progress: func(line string) { fmt.Fprintln(p.stderr, shop.ProgressPrefix+line) },
		}
		return part.Run(cmd.Context(), func(ctx context.Context) error { return runPostgres(ctx, config, state) })
	}
	return c
}

// runPostgres runs the server until ctx ends.
func runPostgres(ctx context.Context, config embedded.Config, state string) error {
	server, err := embedded.Start(ctx, config)
	if err != nil {
		return err
	}
	if state != "" {
		err = shop.PostgresState{PID: os.Getpid(), Server: server.PID(), AdminURL: server.AdminURL()}.Write(state)
		if err != nil {
			return errors.Join(err, server.Stop())
		}
	}
	select {
	case <-ctx.Done():
		err = server.Stop()
	case <-server.Done():
		err = fmt.Errorf("the server ended: %w", server.Err())
	}
	if state != "" {
		if removeErr := os.Remove(state); !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}
	return err
}
