package course

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"millrace/internal/scenario"
)

// framed are the keys that the engine asks every scenario for.
var framed = []string{"title", "summary", "intro", "lesson_text"}

// Every scenario has the same texts in every language, with the same placeholders.
func TestTexts_Parity(t *testing.T) {
	t.Parallel()
	for _, s := range All() {
		en, vi := s.Texts[scenario.English], s.Texts[scenario.Vietnamese]
		for _, key := range slices.Sorted(maps.Keys(en)) {
			other, ok := vi[key]
			switch {
			case !ok:
				t.Errorf("%s: the Vietnamese texts have no %q", s.Name, key)
			case !slices.Equal(scenario.Placeholders(en[key]), scenario.Placeholders(other)):
				t.Errorf("%s: %q has the placeholders %v in English and %v in Vietnamese", s.Name, key, scenario.Placeholders(en[key]), scenario.Placeholders(other))
			case en[key] == "" || other == "":
				t.Errorf("%s: %q is empty", s.Name, key)
			}
		}
		for key := range vi {
			if _, ok := en[key]; !ok {
				t.Errorf("%s: the English texts have no %q", s.Name, key)
			}
		}
	}
}

var vietnameseLetter = regexp.MustCompile(`[ăâđêôơưàảãáạằẳẵắặầẩẫấậèẻẽéẹềểễếệìỉĩíịòỏõóọồổỗốộờởỡớợùủũúụừửữứựỳỷỹýỵ]`)

// Vietnamese is written with its diacritics, in every text that has a few words.
func TestTexts_VietnameseHasDiacritics(t *testing.T) {
	t.Parallel()
	for _, s := range All() {
		for key, text := range s.Texts[scenario.Vietnamese] {
			if len(strings.Fields(text)) > 3 && !vietnameseLetter.MatchString(strings.ToLower(text)) {
				t.Errorf("%s: %q is %q", s.Name, key, text)
			}
		}
	}
}

// The keys that a scenario's code asks for are the keys of its texts, and each is
// given the values of its placeholders.
func TestTexts_KeysAreThoseOfTheCode(t *testing.T) {
	t.Parallel()
	shared := keysIn(t, "wrongways.go")
	for _, s := range All() {
		file := strings.ReplaceAll(s.Name, "-", "_") + ".go"
		used := keysIn(t, file)
		if strings.HasPrefix(s.Name, "wrong-") {
			maps.Copy(used, shared)
		}
		texts := s.Texts[scenario.English]
		for key, args := range used {
			if strings.HasSuffix(key, "*") {
				continue
			}
			text, ok := texts[key]
			if !ok {
				t.Errorf("%s asks for %q, which has no text", file, key)
				continue
			}
			for _, p := range scenario.Placeholders(text) {
				if !slices.Contains(args, p) {
					t.Errorf("%s: %q has the placeholder {%s}, and no value for it", file, key, p)
				}
			}
		}
		for key := range texts {
			if _, ok := used[key]; !ok && !slices.Contains(framed, key) && !slices.ContainsFunc(slices.Collect(maps.Keys(used)), func(u string) bool {
				return strings.HasSuffix(u, "*") && strings.HasPrefix(key, u[:len(u)-1])
			}) {
				t.Errorf("%s: nobody asks for %q", s.Name, key)
			}
		}
		for _, key := range framed {
			if texts[key] == "" {
				t.Errorf("%s has no %s", s.Name, key)
			}
		}
	}
}

// keysIn finds the keys in a file: the first argument of Explain, Event, Text and
// is, with the names of the values beside it. "x_"+v counts as "x_*".
func keysIn(t *testing.T, file string) map[string][]string {
	t.Helper()
	keys := map[string][]string{}
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if os.IsNotExist(err) {
		return keys
	}
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 2 {
			return true
		}
		prefix := ""
		switch f := call.Fun.(type) {
		case *ast.SelectorExpr:
			if !slices.Contains([]string{"Explain", "Event", "Text"}, f.Sel.Name) {
				return true
			}
		case *ast.Ident:
			if f.Name == "auditCheck" {
				keys["check.nothing_lost"] = []string{"confirmed", "orders", "emails", "lost", "twice"}
			}
			if f.Name != "is" {
				return true
			}
			prefix = "check."
		default:
			return true
		}
		var args []string
		if values, ok := call.Args[len(call.Args)-1].(*ast.CompositeLit); ok {
			for _, v := range values.Elts {
				if pair, ok := v.(*ast.KeyValueExpr); ok {
					args = append(args, literal(pair.Key))
				}
			}
		}
		key := call.Args[0]
		if sum, ok := key.(*ast.BinaryExpr); ok {
			keys[prefix+literal(sum.X)+"*"] = args
		} else if text := literal(key); text != "" {
			keys[prefix+text] = args
		}
		return true
	})
	return keys
}

func literal(e ast.Expr) string {
	if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
		s, _ := strconv.Unquote(l.Value)
		return s
	}
	return ""
}

// No text is left of a scenario that is gone.
func TestTexts_EachBelongsToAScenario(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, s := range All() {
		if names[s.Name] {
			t.Errorf("%s is there twice", s.Name)
		}
		names[s.Name] = true
		if len(s.Course) == 0 || s.Needs == "" || s.Play == nil {
			t.Errorf("%s is not complete: %+v", s.Name, s)
		}
	}
	list, err := fs.Glob(files, "texts/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range list {
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		if !names[name] {
			t.Errorf("%s belongs to no scenario", file)
		}
	}
}
