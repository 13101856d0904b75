//go:build unix

package proctree_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/pkg/proctree"
)

// tree starts a shell that starts another in a process group of its own, and that one a
// third: each counts the time. It returns their ids, the root first.
func tree(t *testing.T) (root *exec.Cmd, pids []int) {
	t.Helper()
	root = exec.CommandContext(t.Context(), "sh", "-c", `set -m; sh -c 'sh -c "echo pid \$\$; while :; do sleep 0.01; done" & echo pid $$; wait' & echo pid $$; wait`)
	out, err := root.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := root.Start(); err != nil {
		t.Fatal(err)
	}
	pids = append(pids, root.Process.Pid)
	lines := bufio.NewScanner(out)
	for len(pids) < 3 && lines.Scan() {
		pid, err := strconv.Atoi(strings.TrimPrefix(lines.Text(), "pid "))
		if err != nil {
			t.Fatal(err)
		}
		if pid != root.Process.Pid {
			pids = append(pids, pid)
		}
	}
	t.Cleanup(func() {
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = root.Wait()
	})
	if len(pids) != 3 {
		t.Fatalf("the tree has %v", pids)
	}
	return root, pids
}

// state is the letter that ps shows for a process: T when it is stopped.
func state(t *testing.T, pid int) string {
	t.Helper()
	if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
		_, after, _ := strings.Cut(string(stat), ") ")
		return after[:1]
	}
	out, err := exec.CommandContext(t.Context(), "ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		t.Fatalf("no /proc, and ps says %v", err)
	}
	return strings.TrimSpace(string(out))
}

// standsStill tells a stopped process, and one that waits for a child which was stopped between vfork and exec (D): a
// shell that starts another program is there for a moment.
func standsStill(state string) bool { return strings.ContainsAny(state[:1], "TD") }

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestFreezeAndThaw_TakeTheWholeTree(t *testing.T) {
	t.Parallel()
	_, pids := tree(t)
	for range 3 {
		if err := proctree.Freeze(pids[0]); err != nil {
			t.Fatal(err)
		}
		for _, pid := range pids {
			if s := state(t, pid); runtime.GOOS == "linux" && !standsStill(s) {
				t.Errorf("process %d is in state %s when Freeze returns", pid, s)
			}
			eventually(t, fmt.Sprintf("process %d is stopped", pid), func() bool { return standsStill(state(t, pid)) })
		}
		if err := proctree.Thaw(pids[0]); err != nil {
			t.Fatal(err)
		}
		for _, pid := range pids {
			eventually(t, fmt.Sprintf("process %d goes on", pid), func() bool { return !strings.HasPrefix(state(t, pid), "T") })
		}
	}
}

func TestKill_TakesTheWholeTree(t *testing.T) {
	t.Parallel()
	for _, frozen := range []bool{false, true} {
		root, pids := tree(t)
		if frozen {
			if err := proctree.Freeze(pids[0]); err != nil {
				t.Fatal(err)
			}
		}
		if err := proctree.Kill(pids[0]); err != nil {
			t.Fatal(err)
		}
		for _, pid := range pids[1:] {
			if proctree.Alive(pid) {
				t.Errorf("process %d lives, frozen before: %v", pid, frozen)
			}
		}
		var exit *exec.ExitError
		if err := root.Wait(); !errors.As(err, &exit) || exit.String() != "signal: killed" {
			t.Errorf("the root ended with %v", err)
		}
	}
}

func TestAlive(t *testing.T) {
	t.Parallel()
	if !proctree.Alive(os.Getpid()) {
		t.Error("this process is said to have ended")
	}
	child := exec.CommandContext(t.Context(), "true")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child is a zombie", func() bool { return !proctree.Alive(child.Process.Pid) })
	_ = child.Wait()
	if err := proctree.Freeze(child.Process.Pid); err == nil {
		t.Error("a process that is gone was frozen")
	}
}
