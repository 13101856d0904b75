package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"millrace/internal/shop"
	"millrace/pkg/postgres"
)

func newProvision(p *program) *cobra.Command {
	var address string
	c := &cobra.Command{
		Use:   "provision --postgres HOST:PORT DIR",
		Short: "Make a database and a role for each service, with the passwords of `millrace secrets`",
		Args:  cobra.ExactArgs(1),
	}
	c.Hidden = true
	c.Flags().StringVar(&address, "postgres", "", "address of the Postgres server")
	_ = c.MarkFlagRequired("postgres")
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return &usageError{fmt.Errorf("--postgres %q is not of the form HOST:PORT", address)}
		}
		const patience = time.Minute
		ctx, cancel := context.WithTimeout(cmd.Context(), patience)
		defer cancel()
		return provision(ctx, p, address, args[0])
	}
	return c
}

func provision(ctx context.Context, p *program, address, dir string) error {
	password, err := readSecret(filepath.Join(dir, adminRole))
	if err != nil {
		return err
	}
	admin := url.URL{
		Scheme: "postgres", User: url.UserPassword(adminRole, password), Host: address, Path: "/" + adminRole,
		RawQuery: "sslmode=disable",
	}
	for _, service := range shop.Services {
		password, err := readSecret(filepath.Join(dir, service))
		if err != nil {
			return err
		}
		if _, err := postgres.Provision(ctx, admin.String(), service, service, password); err != nil {
			return fmt.Errorf("database of %s: %w", service, err)
		}
		fmt.Fprintln(p.stderr, "database and role ready:", service)
	}
	return nil
}
