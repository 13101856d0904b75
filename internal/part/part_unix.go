//go:build unix

package part

import (
	"os"
	"os/signal"
	"syscall"
)

var stopSignals = []os.Signal{os.Interrupt, syscall.SIGTERM}

// orphanSignals are those by which the system tells a part that was frozen that up is
// gone: a process group that is orphaned while a member is stopped gets SIGHUP, then
// SIGCONT (POSIX, _exit).
var orphanSignals = []os.Signal{syscall.SIGHUP}

// ignoreBrokenPipes lets a part that lost its parent go on draining: a log line
// to the closed pipe would end a Go program by SIGPIPE.
func ignoreBrokenPipes() { signal.Ignore(syscall.SIGPIPE) }
