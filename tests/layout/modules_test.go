package layout

import (
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// outside are the modules that stay out of go.work, each for a reason.
var outside = []string{
	"tools", // would raise the versions that the services run with
}

var (
	goLine   = regexp.MustCompile(`(?m)^go (\S+)$`)
	useLine  = regexp.MustCompile(`(?m)^\s*(?:use\s+)?(\.\S*)$`)
	modLine  = regexp.MustCompile(`(?m)^module (\S+)$`)
	needLine = regexp.MustCompile(`(?m)^\s*(?:require\s+)?(millrace/\S+) v0\.0\.0`)
	replLine = regexp.MustCompile(`(?m)^\s*(?:replace\s+)?(millrace/\S+) => (\S+)$`)
)

// go.work lists exactly the modules there are, all with the same go line.
func TestModules_WorkspaceIsComplete(t *testing.T) {
	work := read(t, "go.work")
	version := goLine.FindStringSubmatch(work)[1]
	var listed, found []string
	for _, m := range useLine.FindAllStringSubmatch(work, -1) {
		listed = append(listed, path.Clean(m[1]))
	}
	files(t, "go.mod", func(file string) {
		folder := path.Dir(file)
		if !slices.Contains(outside, folder) {
			found = append(found, folder)
		}
		if v := goLine.FindStringSubmatch(read(t, file)); v == nil || v[1] != version {
			t.Errorf("%s says %q, go.work says go %s", file, v, version)
		}
	})
	slices.Sort(listed)
	slices.Sort(found)
	if !slices.Equal(listed, found) {
		t.Errorf("go.work lists %v, the modules are %v", listed, found)
	}
}

// A module's name is its folder, and each module of ours that it requires is replaced by the folder
// beside it: go mod tidy and GOWORK=off do not read go.work.
func TestModules_RequireByFolder(t *testing.T) {
	files(t, "go.mod", func(file string) {
		content, folder := read(t, file), path.Dir(file)
		want := path.Join("millrace", folder)
		if m := modLine.FindStringSubmatch(content); m == nil || m[1] != want {
			t.Errorf("%s names the module %q, want %s", file, m, want)
		}
		replaced := map[string]string{}
		for _, m := range replLine.FindAllStringSubmatch(content, -1) {
			replaced[m[1]] = path.Join(folder, m[2])
		}
		for _, m := range needLine.FindAllStringSubmatch(content, -1) {
			if target := strings.TrimPrefix(m[1], "millrace/"); replaced[m[1]] != target {
				t.Errorf("%s requires %s and replaces it by %q, want the folder %s", file, m[1], replaced[m[1]], target)
			}
		}
	})
}

// A short list of what the broker needs is a claim worth keeping: nothing of the services' stack.
func TestModules_BrokerNeedsLittle(t *testing.T) {
	content := read(t, "broker/go.mod")
	for _, unwanted := range []string{"watermill", "sarama", "pgx", "opentelemetry", "cobra"} {
		if strings.Contains(content, unwanted) {
			t.Errorf("broker/go.mod requires %s", unwanted)
		}
	}
}
