// Package scenarios plays every scenario with the real program, as a learner or an
// instructor's script does: the exit code, the line of JSON, the narration in both
// languages, and that nothing is left afterwards.
package scenarios
