package vfs

import "golang.org/x/sys/windows"

// Space implements FS.
func (OS) Space(name string) (total, usable int64, err error) {
	path, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return 0, 0, err
	}
	var free, size uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, &size, nil); err != nil {
		return 0, 0, err
	}
	return int64(size), int64(free), nil
}
