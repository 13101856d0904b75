//go:build unix && !linux

package proctree

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

const psTimeout = 10 * time.Second

// parentsOfAll maps each process to its parent, by ps(1).
func parentsOfAll() (map[int]int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), psTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-axo", "pid=,ppid=").Output()
	if err != nil {
		return nil, err
	}
	parents := map[int]int{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		const columns = 2
		if len(fields) != columns {
			continue
		}
		pid, err1 := strconv.Atoi(fields[0])
		parent, err2 := strconv.Atoi(fields[1])
		if err1 == nil && err2 == nil {
			parents[pid] = parent
		}
	}
	return parents, nil
}

// Alive tells whether a process exists and has not ended: a zombie has.
func Alive(pid int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), psTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && len(out) > 0 && out[0] != 'Z'
}

// standsStill is not asked of ps(1): what is sent is taken for done.
func standsStill(int) bool { return true }
