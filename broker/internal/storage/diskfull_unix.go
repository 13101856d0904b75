//go:build unix

package storage

import "syscall"

// errDiskQuota is what a full quota returns in place of ENOSPC.
const errDiskQuota = syscall.EDQUOT
