//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// startedByGoRun reports whether the parent is the go command.
var startedByGoRun = sync.OnceValue(func() bool {
	parent := strconv.Itoa(os.Getppid())
	name, err := os.ReadFile("/proc/" + parent + "/comm")
	if err != nil {
		name, err = exec.Command("ps", "-o", "comm=", "-p", parent).Output()
	}
	return err == nil && filepath.Base(strings.TrimSpace(string(name))) == "go"
})
