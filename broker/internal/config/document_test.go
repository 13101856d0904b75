package config

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write SETTINGS.md anew")

// SETTINGS.md says of each setting what the code says.
func TestSettingsDocument(t *testing.T) {
	t.Parallel()
	const file = "../../SETTINGS.md"
	want := document()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("broker/SETTINGS.md is not what the code says; write it anew: go test ./internal/config -run SettingsDocument -update")
	}
}

func document() string {
	var b strings.Builder
	b.WriteString(`# Settings

The names, types and defaults are Kafka's. Give them by ` + "`--set NAME=VALUE`" + ` or in a properties file (` + "`--config FILE`" + `); an
unknown name or a bad value is refused with what is allowed. Written by a test from the code; do not edit.

`)
	for _, section := range []struct {
		title, intro string
		level        Level
		ignored      bool
	}{
		{"Broker", "", BrokerLevel, false},
		{"Topic", "Each has a broker setting as its default, named in brackets.", TopicLevel, false},
		{"Group", "Of one consumer group.", GroupLevel, false},
		{"Client metrics", "Of one subscription to metrics of clients. Kept; nothing takes the metrics.", ClientMetricsLevel, false},
		{"Without effect", "Kafka's settings for what works otherwise here, or not yet: accepted, reported by DescribeConfigs, and named in the log at the start.", BrokerLevel, true},
		{"Without effect: group", "The same, of groups.", GroupLevel, true},
		{"Without effect: topic", "The same, of topics.", TopicLevel, true},
	} {
		fmt.Fprintf(&b, "## %s\n\n", section.title)
		if section.intro != "" {
			fmt.Fprintf(&b, "%s\n\n", section.intro)
		}
		b.WriteString("| name | type | default | meaning |\n|---|---|---|---|\n")
		for _, d := range Defs(section.level) {
			if d.Ignored != section.ignored || d.Name == "internal.segment.bytes" { // which is for tests
				continue
			}
			value := "`" + d.Default + "`"
			if d.Null || d.Default == "" {
				value = ""
			}
			doc := d.Doc
			if section.ignored {
				doc = strings.TrimSuffix(doc, withoutEffect)
			}
			if d.rule.allowed != "" {
				doc += " Allowed: " + d.rule.allowed + "."
			}
			name := "`" + d.Name + "`"
			if d.level == TopicLevel && len(d.Synonyms) > 0 && d.Synonyms[0].Name != d.Name {
				name += " (`" + d.Synonyms[0].Name + "`)"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, strings.ToLower(d.Type.String()), value, strings.ReplaceAll(doc, "|", `\|`))
		}
		b.WriteString("\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}
