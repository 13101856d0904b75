package faultbook

import (
	"os"
	"strings"
	"testing"

	"millrace/pkg/fault"
)

// docs/faults.md tells of every fault, for each of its parts, of every kind, and of every point.
func TestDocs_HaveEveryFault(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	for _, f := range All() {
		of := strings.Join(f.Parts, ", ")
		if len(f.Parts) == len(anyPart) {
			of = "any part"
		}
		if row := "| `" + f.Name + "` | " + of + " |"; !strings.Contains(doc, row) {
			t.Errorf("no row %q", row)
		}
	}
	points := append([]fault.Point{}, brokerPoints...)
	for _, info := range fault.Catalogue() {
		points = append(points, info.Point)
	}
	for _, p := range points {
		if !strings.Contains(doc, "| `"+string(p)+"` |") {
			t.Errorf("no row for the point %s", p)
		}
	}
	for _, k := range fault.Kinds {
		if !strings.Contains(doc, "| `"+string(k)+"` |") {
			t.Errorf("no row for the kind %s", k)
		}
	}
}
