//go:build unix

package vfs

import "golang.org/x/sys/unix"

// Space implements FS.
func (OS) Space(name string) (total, usable int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(name, &s); err != nil {
		return 0, 0, err
	}
	block := int64(s.Bsize) //nolint:unconvert // the field's type differs between systems
	return int64(s.Blocks) * block, int64(s.Bavail) * block, nil
}
