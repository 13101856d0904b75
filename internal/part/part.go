// Package part is the child's side of package supervise: it runs the body of a
// subcommand as a process that ends when it is told to, and when nobody is left
// to tell it.
//
// Run by hand, a part ends on SIGINT and SIGTERM. Started by `millrace up`, it
// also ends when its standard input does (the pipe that up holds open), and it
// holds shared locks on files in the data folder for as long as it lives, so that
// the next up can wait for stragglers of an earlier one, and the parts below for
// the parts above.
package part

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"millrace/internal/filelock"
)

// Environment variables by which up tells a child about its situation.
const (
	LifelineVar = "MILLRACE_LIFELINE"   // "stdin": end when standard input ends
	LocksVar    = "MILLRACE_LOCKS"      // files to hold a shared lock on, as in PATH
	AfterVar    = "MILLRACE_ENDS_AFTER" // a lock file: end only when nobody holds it any more
)

// StopWord is what up writes into the lifeline before it ends it on purpose. Then up sees
// to it that the parts end in order, also when it ends this one alone; a lifeline that ends
// without it means that nobody does.
const StopWord = "stop"

// How long a part that lost its parent may take.
const (
	// patience is how long a part waits for those that need it (AfterVar).
	patience = 15 * time.Second
	// lostParentGrace is the whole time until the part ends itself the hard way.
	lostParentGrace = 40 * time.Second
)

// Run calls body with a context that ends when the part has to.
//
// Run by hand, a second signal while body drains ends the process at once, as the
// system does by default. Started by up, further signals change nothing: up has
// SIGKILL for those that take too long. And when up is killed, Linux sends the
// parent-death signal once for each thread of up that ends, because the children
// pass from one thread to the next.
func Run(ctx context.Context, body func(context.Context) error) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	signals := stopSignals
	if os.Getenv(LifelineVar) == "stdin" {
		signals = slices.Concat(stopSignals, orphanSignals)
	}
	ctx, restore := signal.NotifyContext(ctx, signals...)
	defer restore()
	ignoreBrokenPipes()

	for _, path := range filepath.SplitList(os.Getenv(LocksVar)) {
		lock, err := filelock.Shared(path)
		if err != nil {
			return fmt.Errorf("lock of the data folder: %w", err)
		}
		defer func() { _ = lock.Close() }()
	}
	asked := make(chan struct{})
	if os.Getenv(LifelineVar) == "stdin" {
		go followLifeline(os.Stdin, func() { close(asked) }, end)
	} else {
		context.AfterFunc(ctx, restore)
	}
	if path := os.Getenv(AfterVar); path != "" {
		var cancel context.CancelFunc
		told := ctx
		ctx, cancel = context.WithCancel(context.WithoutCancel(ctx))
		defer cancel()
		context.AfterFunc(told, func() {
			defer cancel()
			waitUntilFree(path, asked)
		})
	}
	if err := body(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// waitUntilFree waits, within patience, until nobody holds the lock: a service
// that drains needs the broker and its database to the end. When up ends the
// parts in order, nobody does; when up was killed, all parts are told at once.
func waitUntilFree(path string, asked <-chan struct{}) {
	const lookEvery = 20 * time.Millisecond
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		lock, err := filelock.TryExclusive(path)
		if err == nil {
			_ = lock.Close()
			return
		}
		if !errors.Is(err, filelock.ErrHeld) {
			return
		}
		select {
		case <-asked: // up keeps the order
			return
		case <-time.After(lookEvery):
		}
	}
}

// followLifeline reads until the parent's end of the pipe is closed, which is
// the parent's wish (asked) or its death, and then gives the part a limited time. The
// goroutine ends with the process: a read of standard input cannot be broken off.
func followLifeline(r io.Reader, asked, stop func()) {
	word, _ := io.ReadAll(io.LimitReader(r, int64(len(StopWord))))
	if string(word) == StopWord {
		asked()
	}
	_, _ = io.Copy(io.Discard, r)
	stop()
	time.Sleep(lostParentGrace)
	fmt.Fprintln(os.Stderr, "parent is gone and the work in hand did not end in time")
	os.Exit(3)
}
