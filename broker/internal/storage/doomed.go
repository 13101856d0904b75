package storage

import (
	"errors"
	"io/fs"
	"time"
)

// doomedFile is a file of a segment that has gone, under a name that ends with .deleted.
type doomedFile struct {
	path string
	due  time.Time
}

// removeLater removes a file after file.delete.delay.ms, or at the next opening of the log. One that is not there is
// no matter.
func (d *Dir) removeLater(path string, c *LogConfig) {
	f := doomedFile{path, time.Now().Add(time.Duration(c.FileDeleteDelayMs) * time.Millisecond)}
	if c.FileDeleteDelayMs <= 0 {
		d.removeDoomed(f)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.doomed = append(d.doomed, f)
}

// removeDue removes the files whose time has come.
func (d *Dir) removeDue(now time.Time) {
	d.mu.Lock()
	var due, rest []doomedFile
	for _, f := range d.doomed {
		if f.due.After(now) {
			rest = append(rest, f)
		} else {
			due = append(due, f)
		}
	}
	d.doomed = rest
	d.mu.Unlock()
	for _, f := range due {
		d.removeDoomed(f)
	}
}

func (d *Dir) removeDoomed(f doomedFile) {
	if err := d.fs.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.warn("could not remove a deleted file, the next start tries again", "file", f.path, "error", err)
	}
}
