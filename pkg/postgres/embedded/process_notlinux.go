//go:build unix && !linux

package embedded

import "syscall"

// endWithParent can do nothing here: a server that outlives a kill -9 is stopped by
// the next Start.
func endWithParent(*syscall.SysProcAttr) {}
