package supervise

import (
	"io"
	"syscall"

	"millrace/internal/part"
)

func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// interrupt asks the child to end. Windows has no SIGTERM: the end of the
// lifeline, after the word for it, is the request.
func (p *process) interrupt() {
	_, _ = io.WriteString(p.lifeline, part.StopWord)
	_ = p.lifeline.Close()
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.lifeline.Close()
}
