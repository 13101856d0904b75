//go:build unix

package proctest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// RunWithProgram builds cmd/millrace once, runs the tests with its path in binary, and removes it. It returns the exit
// code for TestMain.
func RunWithProgram(m *testing.M, binary *string) int {
	dir, err := os.MkdirTemp("", "millrace-program-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	*binary = filepath.Join(dir, "millrace")
	if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", *binary, "millrace/cmd/millrace").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
