// Package part is the child's side of package supervise: it runs the body of a
// subcommand as a process that ends when it is told to, and when nobody is left
// to tell it.
//
// Run by hand, a part ends on SIGINT and SIGTERM. Started by `millrace up`, it
// also ends when its standard input does (the pipe that up holds open), and it
// holds a shared lock on a file in the data folder for as long as it lives, so
// that the next up can wait for stragglers of an earlier one.
package part

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"millrace/internal/filelock"
)

// Environment variables by which up tells a child about its situation.
const (
	LifelineVar = "MILLRACE_LIFELINE" // "stdin": end when standard input ends
	LockVar     = "MILLRACE_PARTS_LOCK"
)

// LostParentGrace is how long a part that lost its parent may take to finish
// its work before it ends itself the hard way.
const LostParentGrace = 20 * time.Second

// Run calls body with a context that ends when the part has to. A second signal
// while body drains ends the process at once, as the system does by default.
func Run(ctx context.Context, body func(context.Context) error) error {
	ctx, cancel := signal.NotifyContext(ctx, stopSignals...)
	defer cancel()
	context.AfterFunc(ctx, cancel) // back to the default action for the second signal
	ignoreBrokenPipes()

	if path := os.Getenv(LockVar); path != "" {
		lock, err := filelock.Shared(path)
		if err != nil {
			return fmt.Errorf("lock of the data folder: %w", err)
		}
		defer func() { _ = lock.Close() }()
	}
	if os.Getenv(LifelineVar) == "stdin" {
		go followLifeline(os.Stdin, cancel)
	}
	if err := body(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// followLifeline reads until the parent's end of the pipe is closed, which is
// the parent's wish or its death, and then gives the part a limited time. The
// goroutine ends with the process: a read of standard input cannot be broken off.
func followLifeline(r io.Reader, stop func()) {
	_, _ = io.Copy(io.Discard, r)
	stop()
	time.Sleep(LostParentGrace)
	fmt.Fprintln(os.Stderr, "parent is gone and the work in hand did not end in time")
	os.Exit(3)
}
