//go:build unix

package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"millrace/pkg/fault"
)

// guarantees is the page that has the tables, seen from this folder.
var guarantees = filepath.FromSlash("../../docs/guarantees.md")

// table compares what the cells gave with the table of that name in docs/guarantees.md,
// or writes it there. The page so says what was run, not what was hoped for.
func table(t *testing.T, name string, cells []cell) {
	t.Helper()
	if t.Failed() || len(cells) == 0 {
		return // the failure tells more
	}
	if slices.ContainsFunc(cells, func(c cell) bool { return c.result == "" }) {
		t.Logf("a part of the matrix %q was run; its table is not compared", name)
		return
	}
	begin, end := "<!-- matrix "+name+" -->\n", "<!-- end of matrix "+name+" -->\n"
	page, err := os.ReadFile(guarantees)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(page), begin)
	old, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("docs/guarantees.md has no place for the matrix %q: want the lines %q and %q", name, begin, end)
	}
	now := render(cells)
	if old == now {
		return
	}
	if !*update {
		t.Errorf("docs/guarantees.md has another table %q; run with -update and look at the difference. This run gave:\n%s", name, now)
		return
	}
	if err := os.WriteFile(guarantees, []byte(head+begin+now+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// render makes a row of each point, and a column of each kind.
func render(cells []cell) string {
	var b strings.Builder
	b.WriteString("\n| program | fault point | what happens there | kill -9 | error | delay |\n|---|---|---|---|---|---|\n")
	type place struct {
		program string
		point   fault.Point
	}
	results := map[place]map[fault.Kind]string{}
	var order []place
	for _, c := range cells {
		p := place{c.program, c.point}
		if results[p] == nil {
			results[p] = map[fault.Kind]string{}
			order = append(order, p)
		}
		results[p][c.kind] = c.result
	}
	for _, p := range order {
		info, _ := fault.Lookup(p.point)
		fmt.Fprintf(&b, "| %s | `%s` | %s |", p.program, p.point, info.Summary)
		for _, kind := range kinds {
			result := results[p][kind]
			if result == "" {
				result = "—"
			}
			fmt.Fprintf(&b, " %s |", result)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	return b.String()
}
