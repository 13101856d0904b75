//go:build unix

package e2e

import (
	"testing"

	"millrace/tests/proctest"
)

func assertNothingRuns(t *testing.T, data string) {
	t.Helper()
	proctest.AssertNothingRuns(t, data)
}
