package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newHealth(*program) *cobra.Command {
	return &cobra.Command{
		Use:    "health URL",
		Short:  "Ask a /readyz and fail unless it answers 200: the health check of a container without a shell",
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if u, err := url.Parse(args[0]); err != nil || u.Host == "" || u.Scheme != "http" {
				return &usageError{fmt.Errorf("%q is no URL of the form http://HOST:PORT/readyz", args[0])}
			}
			return health(cmd.Context(), args[0])
		},
	}
}

func health(ctx context.Context, url string) error {
	const patience = 4 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	const shown = 4 << 10
	body, err := io.ReadAll(io.LimitReader(res.Body, shown))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s: %s", url, res.Status, strings.TrimSpace(string(body)))
	}
	return nil
}
