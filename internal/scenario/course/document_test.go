package course

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"millrace/internal/scenario"
)

var update = flag.Bool("update", false, "rewrite the tables in docs/scenarios.md and docs/scenarios.vi.md")

const (
	tableBegin = "<!-- the table is made by go test ./internal/scenario/course -run Document -update -->\n"
	tableEnd   = "<!-- end of the table -->\n"
)

// The tables in the documents are those of the registry, in both languages.
func TestDocument(t *testing.T) {
	t.Parallel()
	needs := map[scenario.Lang]map[scenario.Needs]string{
		scenario.English:    {scenario.AnyBroker: "any broker", scenario.PrivateBroker: "a private broker", scenario.PrivateShop: "a private shop"},
		scenario.Vietnamese: {scenario.AnyBroker: "broker bất kỳ", scenario.PrivateBroker: "broker riêng", scenario.PrivateShop: "cửa hàng riêng"},
	}
	head := map[scenario.Lang]string{
		scenario.English:    "| scenario | course | what it shows | runs on |\n|---|---|---|---|\n",
		scenario.Vietnamese: "| kịch bản | bài | cho thấy điều gì | chạy trên |\n|---|---|---|---|\n",
	}
	for lang, path := range map[scenario.Lang]string{scenario.English: "../../../docs/scenarios.md", scenario.Vietnamese: "../../../docs/scenarios.vi.md"} {
		var table strings.Builder
		table.WriteString(head[lang])
		for _, s := range All() {
			fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", s.Name, strings.Join(s.Course, ", "), s.Texts[lang]["summary"], needs[lang][s.Needs])
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, ok := strings.Cut(string(b), tableBegin)
		has, after, ok2 := strings.Cut(rest, tableEnd)
		if !ok || !ok2 {
			t.Fatalf("%s has no place for the table: %q … %q", path, tableBegin, tableEnd)
		}
		if has == table.String() {
			continue
		}
		if !*update {
			t.Errorf("%s: the table is\n%s\nwant\n%s\n(go test ./internal/scenario/course -run Document -update)", path, has, table.String())
			continue
		}
		if err := os.WriteFile(path, []byte(before+tableBegin+table.String()+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
