// Package e2e runs the real program as a user does, with every part a process
// of its own, and breaks it: parts and up itself are killed with SIGKILL while
// orders are under way. The tests look at what is left afterwards: nothing lost,
// nothing done twice, no process running.
package e2e
