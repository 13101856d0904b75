// Package scenario is the engine that plays what the course teaches: a scenario
// starts what it needs, shows what happens as it happens, explains it in the
// learner's language, and ends in a verdict that is computed from data.
//
//	Scenario ──Play──▶ Stage   narrator: texts of a language, events, lanes
//	                     └──▶ Env   a broker or a shop: private ones, or the running one
//	         ◀─Evidence──    numbers ──Verdict──▶ checks ──▶ Outcome
//
// The evidence of a scenario is a struct of numbers, and its verdict is a pure
// function of them: tests feed it evidence that has to fail. The scenarios
// themselves are in package course.
//
// What was started is ended by Env.Close, whatever becomes of the scenario; what
// is left when this process is killed ends by itself (package supervise).
package scenario
