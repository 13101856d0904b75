package service

import (
	"context"
	"fmt"
	"io"
	"os/signal"
	"syscall"
)

// Main is the whole of a service's main: environment → Config, signals, exit code.
// 0 is an orderly stop, 1 a failure, 2 a wrong setting. The first signal begins an
// orderly stop; a second one ends the process at once.
func Main[C interface{ Validate() error }](environ []string, errs io.Writer, run func(context.Context, C) error) int {
	config, err := FromEnv[C](environ)
	if err != nil {
		fmt.Fprintln(errs, err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // the default action comes back
	if err := run(ctx, config); err != nil {
		fmt.Fprintln(errs, err)
		return 1
	}
	return 0
}
