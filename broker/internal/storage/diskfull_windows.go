package storage

import "syscall"

// errDiskQuota is ERROR_DISK_FULL; Windows has no error of its own for quotas here.
const errDiskQuota = syscall.Errno(112)
