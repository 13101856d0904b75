package embedded

import "syscall"

// endWithParent has the kernel tell the server to shut down when our process ends
// without having done so, as by kill -9. The caller must keep the thread that starts
// the child alive: the kernel means the thread, not the process.
func endWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGINT }
