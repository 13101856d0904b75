//go:build unix

package proctree

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"
)

// Freeze holds the whole tree (SIGSTOP), from the root down, so that nobody who still
// runs sees those below stand still. It returns when no process of the tree can start
// another any more.
func Freeze(root int) error {
	_, err := freeze(root)
	return err
}

// awaitStandstill waits until the signals have had their effect, which is after they were sent. Who kills the parent
// of a process that is not yet stopped leaves it stopped for ever: the system wakes only orphans that stand
// still already. It is waited for no longer than a while.
func awaitStandstill(pids []int) {
	const patience, look = 2 * time.Second, time.Millisecond
	until := time.Now().Add(patience)
	for _, pid := range pids {
		for !standsStill(pid) && time.Now().Before(until) {
			time.Sleep(look)
		}
	}
}

// freeze returns the processes of the tree, the root first.
func freeze(root int) ([]int, error) {
	const rounds = 50 // each finds what was started during the one before
	frozen := []int{}
	todo := []int{root}
	for range rounds {
		for _, pid := range todo {
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && (pid == root || !errors.Is(err, syscall.ESRCH)) {
				thaw(frozen)
				return nil, fmt.Errorf("freeze process %d: %w", pid, err)
			}
			frozen = append(frozen, pid)
		}
		below, err := descendants(root)
		if err != nil {
			thaw(frozen)
			return nil, err
		}
		todo = slices.DeleteFunc(below, func(pid int) bool { return slices.Contains(frozen, pid) })
		if len(todo) == 0 {
			awaitStandstill(frozen)
			return frozen, nil
		}
	}
	thaw(frozen)
	return nil, fmt.Errorf("process %d starts others faster than they can be frozen", root)
}

// Thaw lets the whole tree go on (SIGCONT), from the leaves up. One that runs is none the
// worse for it.
func Thaw(root int) error {
	below, err := descendants(root)
	if err != nil {
		return err
	}
	thaw(append([]int{root}, below...))
	return nil
}

// thaw takes parents before their children.
func thaw(pids []int) {
	for _, pid := range slices.Backward(pids) {
		_ = syscall.Kill(pid, syscall.SIGCONT) // it may be gone
	}
}

// killWait bounds the wait for the end of the processes below the root.
const killWait = 5 * time.Second

// Kill ends the whole tree (SIGKILL): no process of it gets to see the end of another. It
// returns when those below the root are gone, and before the root is told, because its
// parent may start it again at once.
func Kill(root int) error {
	pids, err := freeze(root)
	if err != nil {
		return err
	}
	for _, pid := range pids[1:] {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone
	}
	// The root is stopped and reaps nobody: they are gone when they are zombies.
	for deadline := time.Now().Add(killWait); slices.ContainsFunc(pids[1:], Alive) && time.Now().Before(deadline); {
		const pause = 2 * time.Millisecond
		time.Sleep(pause)
	}
	if err := syscall.Kill(root, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill process %d: %w", root, err)
	}
	return nil
}

// descendants lists the processes below the root, parents before their children.
func descendants(root int) ([]int, error) {
	parents, err := parentsOfAll()
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	children := map[int][]int{}
	for pid, parent := range parents {
		children[parent] = append(children[parent], pid)
	}
	var found []int
	for next := children[root]; len(next) > 0; {
		found = append(found, next...)
		var below []int
		for _, pid := range next {
			below = append(below, children[pid]...)
		}
		next = below
	}
	return found, nil
}
