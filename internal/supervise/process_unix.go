//go:build unix

package supervise

import (
	"errors"
	"io"
	"os"
	"syscall"

	"millrace/internal/part"
)

// interrupt asks the child to end: the word for it, SIGTERM, and the end of its lifeline.
func (p *process) interrupt() {
	_, _ = io.WriteString(p.lifeline, part.StopWord)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.lifeline.Close()
}

// kill ends the child and what it started in its process group.
func (p *process) kill() {
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		_ = p.cmd.Process.Kill()
	}
	_ = p.lifeline.Close()
}
