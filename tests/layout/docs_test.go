package layout

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

var (
	mdLink   = regexp.MustCompile(`\]\(([^()\s]+)(?:\s+"[^"]*")?\)`)
	mdFence  = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```")
	mdHead   = regexp.MustCompile(`(?m)^#{1,6} +(.+?)\s*$`)
	mdInline = regexp.MustCompile("`[^`\n]*`")
)

// Every relative link in a document leads to a file that exists, and every anchor to a heading.
func TestDocs_LinksLeadSomewhere(t *testing.T) {
	files(t, ".md", func(file string) {
		prose := mdInline.ReplaceAllString(mdFence.ReplaceAllString(read(t, file), ""), "``")
		for _, m := range mdLink.FindAllStringSubmatch(prose, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			to := file
			if target != "" {
				to = path.Join(path.Dir(file), target)
			}
			info, err := os.Stat(filepath.Join(root, filepath.FromSlash(to)))
			if err != nil {
				t.Errorf("%s links to %s, which does not exist", file, m[1])
				continue
			}
			if anchor != "" && !info.IsDir() && strings.HasSuffix(to, ".md") && !slices.Contains(anchors(read(t, to)), anchor) {
				t.Errorf("%s links to %s: there is no such heading", file, m[1])
			}
		}
	})
}

// anchors are the names that a document's headings get.
func anchors(document string) []string {
	var names []string
	for _, m := range mdHead.FindAllStringSubmatch(mdFence.ReplaceAllString(document, ""), -1) {
		names = append(names, strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			}
			return -1
		}, m[1]))
	}
	return names
}

// The English and the Vietnamese README give the same commands in the same order, and have the same
// sections and links to code.
func TestDocs_ReadmesAreInStep(t *testing.T) {
	english, vietnamese := read(t, "README.md"), read(t, "README.vi.md")
	shell := func(document string) (commands []string) {
		for _, m := range mdFence.FindAllStringSubmatch(document, -1) {
			if m[1] != "sh" {
				continue
			}
			for line := range strings.Lines(m[2]) {
				command, _, _ := strings.Cut(line, " #") // comments are in the reader's language
				if command = strings.TrimSpace(command); command != "" && !strings.HasPrefix(command, "#") {
					commands = append(commands, command)
				}
			}
		}
		return commands
	}
	if en, vi := shell(english), shell(vietnamese); !slices.Equal(en, vi) {
		t.Errorf("the commands differ:\nREADME.md     %q\nREADME.vi.md  %q", en, vi)
	}
	if en, vi := len(anchors(english)), len(anchors(vietnamese)); en != vi {
		t.Errorf("README.md has %d headings, README.vi.md %d", en, vi)
	}
}

// Every decision record is numbered, dated and says how it stands.
func TestDocs_DecisionRecords(t *testing.T) {
	name := regexp.MustCompile(`^docs/adr/\d{4}-[a-z0-9-]+\.md$`)
	files(t, ".md", func(file string) {
		if !within(file, "docs/adr") || path.Base(file) == "README.md" {
			return
		}
		if !name.MatchString(file) {
			t.Errorf("%s: want docs/adr/NNNN-title.md", file)
		}
		for _, section := range []string{"Date:", "Status:", "## Context", "## Decision", "## Consequences"} {
			if !strings.Contains(read(t, file), section) {
				t.Errorf("%s has no %q", file, section)
			}
		}
	})
}

// docs/protocol.md names each request with the range of versions and the file that serve it.
func TestDocs_ProtocolTable(t *testing.T) {
	registered := regexp.MustCompile(`(?m)^func init\(\) \{ register\((\d+), (\d+), (\d+)`)
	table := read(t, "docs/protocol.md")
	served := 0
	files(t, ".go", func(file string) {
		if path.Dir(file) != "broker/internal/server" {
			return
		}
		for _, m := range registered.FindAllStringSubmatch(read(t, file), -1) {
			served++
			versions := m[2] + "–" + m[3]
			if m[2] == m[3] {
				versions = m[2]
			}
			row := regexp.MustCompile(`(?m)^\| ` + m[1] + ` \| \w+ \| ` + versions + ` \| \[` + regexp.QuoteMeta(path.Base(file)) + `\]`)
			if !row.MatchString(table) {
				t.Errorf("docs/protocol.md has no row for key %s, versions %s, file %s", m[1], versions, path.Base(file))
			}
		}
	})
	if rows := len(regexp.MustCompile(`(?m)^\| \d+ \| \w+ \|`).FindAllString(table, -1)); rows != served {
		t.Errorf("docs/protocol.md has %d rows, the broker serves %d requests", rows, served)
	}
}
