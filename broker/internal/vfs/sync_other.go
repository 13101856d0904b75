//go:build !linux

package vfs

import "os"

// syncData is os.File.Sync, which on macOS asks the drive too (F_FULLFSYNC).
func syncData(f *os.File) error { return f.Sync() }
