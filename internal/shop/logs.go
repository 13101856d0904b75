package shop

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// maxLogFile caps one log file; one older file is kept beside it.
const maxLogFile = 8 << 20

// logFile is the file of a part's output. Losing lines is no reason to stop the
// shop: errors are ignored once the file was opened.
type logFile struct {
	path string

	mu   sync.Mutex // guards what follows
	f    *os.File
	size int64
}

func openLogFile(dir, name string) (*logFile, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	l := &logFile{path: filepath.Join(dir, name+".log")}
	return l, l.open()
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	l.f, l.size = f, info.Size()
	return nil
}

func (l *logFile) line(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return
	}
	n, _ := fmt.Fprintf(l.f, "%s %s\n", time.Now().UTC().Format("15:04:05.000"), b)
	if l.size += int64(n); l.size > maxLogFile {
		_ = l.f.Close()
		l.f = nil
		if os.Rename(l.path, l.path+".1") == nil {
			_ = l.open()
		}
	}
}

func (l *logFile) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f != nil {
		_ = l.f.Close()
		l.f = nil
	}
}
