//go:build !unix

package embedded

import (
	"os"
	"os/exec"
)

// Without signals there is one way to end a server; it recovers at the next start.
var (
	fastShutdown      = os.Kill
	immediateShutdown = os.Kill
)

func detach(*exec.Cmd, *account) {}
func runAs(*exec.Cmd, *account)  {}

// lockFile opens the file; the server's own postmaster.pid guards the folder here.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
}

func awaitLock(path string) (*os.File, error) { return lockFile(path) }

func alive(pid int) bool {
	_, err := os.FindProcess(pid)
	return err == nil
}

func signal(pid int, s os.Signal) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Signal(s)
}
