// Package supervise runs the parts of the shop as child processes: it starts
// them, hands on what they print line by line, starts them again when they die
// and stops them.
//
// A child must never outlive its parent, whatever becomes of the parent. Two
// things see to that. The child's standard input is a pipe that only the parent
// holds open: when the parent is gone, by whatever death, the child reads end of
// file (package part reacts to it). That works on every system. On Linux the
// kernel also sends SIGTERM to the child when the parent dies
// (PR_SET_PDEATHSIG), for children that are stuck before they read anything.
//
// Each child is the leader of a process group of its own, so that Ctrl-C in a
// terminal reaches the parent alone, which then stops the parts in order.
package supervise
