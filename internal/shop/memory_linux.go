package shop

import (
	"bytes"
	"os"
	"strconv"
)

// memoryOf sums the proportional set size of each process and of everything
// below it. Memory that processes share (the program's text, Postgres' buffers)
// is counted once over all of them, which makes the numbers add up.
func memoryOf(pids []int) map[int]int64 {
	children := map[int][]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			parent := parentOf(pid)
			children[parent] = append(children[parent], pid)
		}
	}
	sums := make(map[int]int64, len(pids))
	var below func(pid int) int64
	below = func(pid int) int64 {
		sum := pss(pid)
		for _, child := range children[pid] {
			sum += below(child)
		}
		return sum
	}
	self := os.Getpid()
	for _, pid := range pids {
		if pid == self {
			sums[pid] = pss(pid) // the parts below it are counted on their own
			continue
		}
		sums[pid] = below(pid)
	}
	return sums
}

func parentOf(pid int) int {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// pid (name) state ppid …; the name may hold anything, also ") ".
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return 0
	}
	return parent
}

func pss(pid int) int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		if rest, ok := bytes.CutPrefix(line, []byte("Pss:")); ok {
			kb, err := strconv.ParseInt(string(bytes.Fields(rest)[0]), 10, 64)
			if err != nil {
				return 0
			}
			return kb << 10
		}
	}
	return 0
}
