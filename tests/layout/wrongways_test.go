package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const wrongWay = "pkg/wrongway"

// namesOnly are the packages that know the names of the wrong ways, to offer or to explain them, and
// have none of their code.
var namesOnly = []string{"cmd/millrace", "internal/shop", "internal/dlq", "internal/scenario"}

// What is wrong on purpose is imported in files called wrongway.go of the packages that put a service together, and
// nowhere else: no part of the right way can reach it. What it is called may be known to more.
func TestWrongWays_AreImportedInOnePlace(t *testing.T) {
	seen := 0
	files(t, ".go", func(file string) {
		folder := path.Dir(file)
		if within(folder, wrongWay) || strings.HasSuffix(file, "_test.go") {
			return
		}
		for _, imported := range imports(t, file) {
			if !within(imported, wrongWay) {
				continue
			}
			isService := folder == "pkg/service" || path.Base(folder) == "app" && within(folder, "services")
			switch {
			case isService && path.Base(file) == "wrongway.go":
				seen++
			case imported == wrongWay && slices.ContainsFunc(namesOnly, func(p string) bool { return within(folder, p) }):
			default:
				t.Errorf("%s imports %s: only wrongway.go of pkg/service and of a service's app may", file, imported)
			}
		}
	})
	if seen == 0 {
		t.Error("nothing imports a wrong way: this test looks in the wrong place")
	}
}

// Below an app nothing asks whether something is to be done wrong: the setting is read in the files called wrongway.go, and
// where settings are checked and handed on.
func TestWrongWays_TheSettingIsReadInOnePlace(t *testing.T) {
	const setting = "WrongWays"
	seen := 0
	files(t, ".go", func(file string) {
		if strings.HasSuffix(file, "_test.go") || !within(file, "pkg") && !within(file, "services") {
			return
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			return
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok || selector.Sel.Name != setting {
				return true
			}
			seen++
			if path.Base(file) != "wrongway.go" {
				t.Errorf("%s asks for %s; only wrongway.go may", file, setting)
			}
			return true
		})
	})
	if seen == 0 {
		t.Error("nothing reads the setting: this test looks for the wrong name")
	}
}

// The right way does not depend on the wrong one, through however many packages.
func TestWrongWays_TheRightWayDoesNotReachThem(t *testing.T) {
	for _, p := range packages(t) {
		name := p.name()
		isRight := within(name, "pkg/messaging") || within(name, "pkg/postgres") || within(name, "pkg/events") || within(name, "broker") ||
			within(name, "services") && !strings.HasSuffix(name, "/app") && !within(name, path.Join("services", strings.Split(name+"/", "/")[1], "cmd"))
		if !isRight {
			continue
		}
		for _, dep := range ours(p.Deps) {
			if within(dep, wrongWay) {
				t.Errorf("%s depends on %s", name, dep)
			}
		}
	}
}

// imports are what a file imports of this repository, by their short names.
func imports(t *testing.T, file string) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, spec := range parsed.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			paths = append(paths, p)
		}
	}
	return ours(paths)
}
