package supervise

import "syscall"

func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// interrupt asks the child to end. Windows has no SIGTERM: the end of the
// lifeline is the request.
func (p *process) interrupt() { _ = p.lifeline.Close() }

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.lifeline.Close()
}
