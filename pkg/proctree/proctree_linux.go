package proctree

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// parentsOfAll maps each process to its parent, by /proc/PID/stat (proc_pid_stat(5)).
func parentsOfAll() (map[int]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	parents := map[int]int{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if _, parent, ok := stat(pid); ok {
			parents[pid] = parent
		}
	}
	return parents, nil
}

// stat reads state and parent of a process; ok is false when it is gone.
func stat(pid int) (state string, parent int, ok bool) {
	return statOf("/proc/" + strconv.Itoa(pid))
}

// statOf reads the stat file of a process or of one of its threads.
func statOf(folder string) (state string, parent int, ok bool) {
	line, err := os.ReadFile(folder + "/stat")
	if err != nil {
		return "", 0, false
	}
	// pid (name) state ppid …, and the name may hold anything.
	fields := strings.Fields(string(line[bytes.LastIndexByte(line, ')')+1:]))
	const needed = 2
	if len(fields) < needed {
		return "", 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return fields[0], parent, err == nil
}

// Alive tells whether a process exists and has not ended: a zombie has.
func Alive(pid int) bool {
	state, _, ok := stat(pid)
	return ok && state != "Z" && state != "X"
}

// standsStill tells whether each thread of a process is stopped, or gone, or held up in the kernel (D): by the disk, or
// by a child that was stopped between vfork and exec, in which case it stays so.
func standsStill(pid int) bool {
	folder := "/proc/" + strconv.Itoa(pid) + "/task"
	threads, err := os.ReadDir(folder)
	if err != nil {
		return true // it has ended
	}
	for _, thread := range threads {
		if state, _, ok := statOf(folder + "/" + thread.Name()); ok && !strings.Contains("TtZXD", state) {
			return false
		}
	}
	return true
}
