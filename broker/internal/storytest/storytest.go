// Package storytest runs the text scenarios that tell what a state machine does: files of prose, then commands, one or
// more to a block, and below the dashes what came of them. go test -rewrite writes what comes of them anew.
package storytest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// Run runs each *.txt in a folder, not below it, as a subtest. begin gives a fresh story, as the function that runs one
// block of commands and returns what came of it.
func Run(t *testing.T, folder string, begin func() func(t *testing.T, d *datadriven.TestData) string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenario in %s: %v", folder, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { datadriven.RunTest(t, file, begin()) })
	}
}

// Lines are the commands of a block as they stand in the file.
func Lines(d *datadriven.TestData) []string {
	first := d.Cmd
	for _, a := range d.CmdArgs {
		first += " " + a.Key
		if len(a.Vals) > 0 {
			first += "=" + strings.Join(a.Vals, ",")
		}
	}
	if d.Input == "" {
		return []string{first}
	}
	return append([]string{first}, strings.Split(d.Input, "\n")...)
}

// Words takes a command apart: its name, its plain arguments and those of the form KEY=VALUE. isKey tells what may be a
// key, so that orders/0=5 can be a plain argument; nil takes anything.
func Words(line string, isKey func(string) bool) (command string, args []string, options map[string]string) {
	options = map[string]string{}
	words := strings.Fields(line)
	for _, w := range words[1:] {
		if k, v, ok := strings.Cut(w, "="); ok && (isKey == nil || isKey(k)) {
			options[k] = v
		} else {
			args = append(args, w)
		}
	}
	return words[0], args, options
}
