//go:build !linux

package shop

import (
	"bytes"
	"os/exec"
	"strconv"
	"strings"
)

// memoryOf asks ps for the resident set size. Where there is no ps, nothing is
// known. Postgres' backends are not counted here.
func memoryOf(pids []int) map[int]int64 {
	list := make([]string, len(pids))
	for i, pid := range pids {
		list[i] = strconv.Itoa(pid)
	}
	out, err := exec.Command("ps", "-o", "pid=,rss=", "-p", strings.Join(list, ",")).Output()
	if err != nil {
		return nil
	}
	sums := map[int]int64{}
	for line := range bytes.Lines(out) {
		fields := strings.Fields(string(line))
		if len(fields) != 2 {
			continue
		}
		pid, errPID := strconv.Atoi(fields[0])
		kb, errRSS := strconv.ParseInt(fields[1], 10, 64)
		if errPID == nil && errRSS == nil {
			sums[pid] = kb << 10
		}
	}
	return sums
}
