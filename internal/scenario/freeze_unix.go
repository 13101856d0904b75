//go:build unix

package scenario

import (
	"fmt"
	"syscall"
)

func freeze(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("freeze process %d: %w", pid, err)
	}
	return nil
}
