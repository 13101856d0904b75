package wrongway_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"millrace/pkg/wrongway"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		names []string
		err   string // part of it; empty: none
	}{
		{nil, ""},
		{[]string{"dual-write"}, ""},
		{[]string{" no-key", "cursor-outbox "}, ""},
		{wrongway.Names()[:3], ""},
		{[]string{"dualwrite"}, `"dualwrite"; did you mean dual-write? there are dual-write, cursor-outbox,`},
		{[]string{"nack"}, `; there are dual-write, cursor-outbox,`},
		{[]string{""}, `; there are dual-write, cursor-outbox,`},
		{[]string{strings.Repeat("x", 1<<20)}, `; there are dual-write, cursor-outbox,`},
		{[]string{"no-key", "no-key"}, "no-key is given twice"},
		{[]string{"auto-commit", "no-key", "unbounded-nack"}, "auto-commit and unbounded-nack both replace the consumer"},
	} {
		ways, err := wrongway.Parse(c.names)
		switch {
		case c.err == "" && (err != nil || len(ways) != len(c.names)):
			t.Errorf("%q: %v, %v", c.names, ways, err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%.40q: %v, want %s", c.names, err, c.err)
		case err != nil && len(err.Error()) > 1000:
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
}

func TestParseFor(t *testing.T) {
	for _, c := range []struct{ service, name, err string }{
		{"order", "dual-write", ""},
		{"inventory", "no-key", ""},
		{"notification", "ack-before-work", ""},
		{"notification", "dual-write", "service notification has no wrong way dual-write; order has it"},
		{"notification", "no-key", "order or inventory has it"},
		{"order", "shared-redrive", "not one of a service: millrace dlq redrive"},
	} {
		_, err := wrongway.ParseFor(c.service, []string{c.name})
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s in %s: %v, want %q", c.name, c.service, err, c.err)
		}
	}
}

// Each way says all that its docs, its log line and its package have to say.
func TestEachWayIsMarked(t *testing.T) {
	docs, err := os.ReadFile("../../docs/wrong-ways.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wrongway.All() {
		if w.Does == "" || w.Breaks == "" || w.Watch == "" || w.Replaces == "" {
			t.Errorf("%s does not say everything: %+v", w.Name, w)
		}
		for _, said := range []string{"## " + w.Name + "\n", w.Breaks} {
			if !strings.Contains(string(docs), said) {
				t.Errorf("docs/wrong-ways.md does not have %q", said)
			}
		}
		if len(w.Services) == 0 {
			continue // a tool's
		}
		files, err := filepath.Glob(strings.ReplaceAll(w.Name, "-", "") + "/*.go")
		if err != nil || len(files) == 0 {
			t.Errorf("%s has no package: %v", w.Name, err)
		}
		marked := false
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			comment, _, _ := strings.Cut(string(source), "\npackage ")
			flat := strings.Join(strings.Fields(strings.ReplaceAll(comment, "//", " ")), " ")
			marked = marked || strings.Contains(flat, "WRONG ON PURPOSE. It breaks: "+w.Breaks+".") && strings.Contains(flat, "The right way")
		}
		if !marked {
			t.Errorf("no package comment says what %s breaks", w.Name)
		}
	}
}
