//go:build unix

package embedded

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Signals that shut a Postgres server down.
var (
	fastShutdown      os.Signal = syscall.SIGINT
	immediateShutdown os.Signal = syscall.SIGQUIT
)

// detach gives the child a process group of its own, so that Ctrl-C in the terminal
// reaches it through us alone, and in the right order.
func detach(cmd *exec.Cmd, user *account) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: user.credential()}
	endWithParent(cmd.SysProcAttr)
}

// runAs lets a child that ends by itself run as the account.
func runAs(cmd *exec.Cmd, user *account) {
	if user != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user.credential()}
	}
}

// lockFile takes the lock that says that the data folder is in use. The system gives
// it back when this process ends, however it ends; children do not inherit it.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is held by another process: a server of this folder is already running", path)
		}
		return nil, err
	}
	return f, nil
}

// awaitLock waits for a lock that others hold for a short time only.
func awaitLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, err
		}
	}
}

// alive tells whether a process exists.
func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

func signal(pid int, s os.Signal) error { return syscall.Kill(pid, s.(syscall.Signal)) }
