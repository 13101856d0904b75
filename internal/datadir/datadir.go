// Package datadir is the folder in which a shop keeps everything: the broker's
// log, Postgres, mails, traces, the passwords, and shop.json, which tells the
// command line where the running shop is.
//
//	.millrace/
//	  lock          held by the `up` that runs on the folder; its content is that pid
//	  parts.lock    held together by all parts of the running shop
//	  shop.json     addresses and process ids, only while the shop runs
//	  secrets.json  passwords made for this folder, mode 0600
//	  broker/ postgres/ mail/ traces/ logs/
package datadir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"millrace/internal/filelock"
)

// Default is the folder used when none is named.
const Default = ".millrace"

// InUseError is returned by Open when another up runs on the folder.
type InUseError struct {
	Path string
	PID  int // 0 when it could not be read
}

func (e *InUseError) Error() string {
	holder := "another process"
	if e.PID != 0 {
		holder = fmt.Sprintf("process %d", e.PID)
	}
	return fmt.Sprintf("data folder %s is in use by %s", e.Path, holder)
}

// Dir is a data folder that this process holds.
type Dir struct {
	path string
	lock *filelock.Lock
}

// Open makes the folder when it is missing and takes it for this process.
func Open(path string) (*Dir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	d := &Dir{path: path}
	d.lock, err = filelock.TryExclusive(d.Path("lock"))
	if errors.Is(err, filelock.ErrHeld) {
		return nil, &InUseError{Path: path, PID: readPID(d.Path("lock"))}
	}
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := d.lock.Write([]byte(strconv.Itoa(os.Getpid()) + "\n")); err != nil {
		return nil, errors.Join(fmt.Errorf("data folder: %w", err), d.lock.Close())
	}
	return d, nil
}

func readPID(path string) int {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0
	}
	return pid
}

// Path joins elements to the folder's path.
func (d *Dir) Path(elem ...string) string {
	return filepath.Join(append([]string{d.path}, elem...)...)
}

// PartsLock is the file that each part locks for as long as it lives.
func (d *Dir) PartsLock() string { return d.Path("parts.lock") }

// ServicesLock is the file that each service locks, too.
func (d *Dir) ServicesLock() string { return d.Path("services.lock") }

// WaitForStragglers waits until no part of an earlier run is alive. waiting is
// called once when there is something to wait for.
func (d *Dir) WaitForStragglers(ctx context.Context, waiting func()) error {
	const pollEvery = 50 * time.Millisecond
	for first := true; ; first = false {
		l, err := filelock.TryExclusive(d.PartsLock())
		if err == nil {
			return l.Close()
		}
		if !errors.Is(err, filelock.ErrHeld) {
			return err
		}
		if first {
			waiting()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("parts of an earlier run on %s still run: %w", d.path, ctx.Err())
		case <-time.After(pollEvery):
		}
	}
}

// Close gives the folder back.
func (d *Dir) Close() error { return d.lock.Close() }

// writeJSON replaces a file of the folder in one step.
func (d *Dir) writeJSON(name string, mode fs.FileMode, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	tmp := d.Path(name + ".new")
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return os.Rename(tmp, d.Path(name))
}
