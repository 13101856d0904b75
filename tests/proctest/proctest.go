//go:build unix

// Package proctest looks for processes that a test should not have left behind.
package proctest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience is how long what was killed may drain.
const patience = 2 * time.Minute

// AssertNothingRuns proves that no process of a shop is left: none whose command
// line, environment or working folder names the data folder. It waits a while:
// after up was killed its parts drain on their own.
func AssertNothingRuns(t *testing.T, data string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		left := processesOf(t, data)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("still running on %s:\n  %s", data, strings.Join(left, "\n  "))
			return
		}
		<-time.After(50 * time.Millisecond)
	}
}

func processesOf(t *testing.T, data string) []string {
	t.Helper()
	if _, err := os.Stat("/proc/self/environ"); err == nil {
		return fromProc(data)
	}
	out, err := exec.CommandContext(t.Context(), "ps", "axeww", "-o", "pid=,command=").Output()
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, data) && !strings.Contains(line, ".test") {
			left = append(left, strings.TrimSpace(line))
		}
	}
	return left
}

func fromProc(data string) []string {
	var left []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid := filepath.Base(dir)
		if pid == strconv.Itoa(os.Getpid()) {
			continue
		}
		command, err := os.ReadFile(dir + "/cmdline")
		if err != nil || len(command) == 0 {
			continue // gone, or a zombie
		}
		environ, _ := os.ReadFile(dir + "/environ")
		cwd, _ := os.Readlink(dir + "/cwd")
		if bytes.Contains(command, []byte(data)) || bytes.Contains(environ, []byte(data)) || strings.HasPrefix(cwd, data) {
			left = append(left, fmt.Sprintf("%s %s", pid, bytes.ReplaceAll(command, []byte{0}, []byte(" "))))
		}
	}
	return left
}
