// Package servicetest checks what every service has to keep.
package servicetest

import (
	"os"
	"strings"
	"testing"

	"github.com/caarlos0/env/v11"
)

// Readme checks that the table under the heading "## Settings" of a README has exactly the variables of a
// config, in its order, with their defaults. config is a pointer to it. A row is
//
//	| `DRAIN_TIMEOUT` | `10s` | what it does |
//
// and a variable without a default has an empty second cell.
func Readme(t *testing.T, path string, config any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, settings, found := strings.Cut(string(text), "\n## Settings\n")
	if !found {
		t.Fatalf("%s has no heading \"## Settings\"", path)
	}
	var got []string
	for line := range strings.Lines(settings) {
		cells := strings.Split(line, "|")
		if len(cells) >= 5 && strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			if strings.TrimSpace(cells[3]) == "" {
				t.Errorf("%s: no word on %s", path, cells[1])
			}
			got = append(got, row(unquote(cells[1]), unquote(cells[2])))
		}
	}
	params, err := env.GetFieldParams(config)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, p := range params {
		if p.Key != "" && p.Key != "-" {
			want = append(want, row(p.Key, p.DefaultValue))
		}
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("%s has the settings\n%s\n\nthe program has\n%s", path, g, w)
	}
}

func row(name, value string) string { return "| `" + name + "` | `" + value + "` |" }

func unquote(cell string) string { return strings.Trim(strings.TrimSpace(cell), "`") }
