// Command broker runs a broker alone.
//
//	broker --listen 127.0.0.1:9092 --data ./data [--set num.partitions=4]… [--config FILE] [--http 127.0.0.1:8084]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"millrace/broker/brokercmd"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	var o brokercmd.Options
	f := flag.NewFlagSet("broker", flag.ContinueOnError)
	o.Register(f)
	level := f.String("log-level", "info", "debug, info, warn or error")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if f.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "broker: unexpected argument %q; only flags are allowed\n", f.Arg(0))
		return 2
	}
	var l slog.Level
	if err := l.UnmarshalText([]byte(*level)); err != nil {
		fmt.Fprintf(os.Stderr, "broker: --log-level %q: allowed are debug, info, warn and error\n", *level)
		return 2
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: l}))

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := brokercmd.Run(ctx, o, log)
	var usage *brokercmd.UsageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "broker:", err)
		return 2
	default:
		log.Error("broker ended", "error", err)
		return 1
	}
}
