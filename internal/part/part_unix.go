//go:build unix

package part

import (
	"os"
	"os/signal"
	"syscall"
)

var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

// ignoreBrokenPipes lets a part that lost its parent go on draining: a log line
// to the closed pipe would end a Go program by SIGPIPE.
func ignoreBrokenPipes() { signal.Ignore(syscall.SIGPIPE) }
