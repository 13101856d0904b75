package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// readers are the files besides those in cmd/ that may read the environment.
var readers = []string{
	"config.go",                     // in any folder: a program's settings, listed in its README
	"internal/part/part.go",         // what up tells its children about themselves
	"broker/brokercmd/brokercmd.go", // the body of a main
	"pkg/telemetry/log.go",          // whether the terminal is dumb
}

// Settings come in at the edge: the environment is read in cmd/ and in files called config.go, so
// that a program's settings can be found, listed and tested.
func TestEnvironmentIsReadAtTheEdge(t *testing.T) {
	files(t, ".go", func(file string) {
		if strings.HasSuffix(file, "_test.go") || slices.Contains(strings.Split(file, "/"), "cmd") ||
			slices.Contains(readers, path.Base(file)) || slices.Contains(readers, file) || within(file, "tests") || within(file, "tools") {
			return
		}
		fset := token.NewFileSet()
		parsed, err := parser.ParseFile(fset, filepath.Join(root, file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			return
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			of, ok := selector.X.(*ast.Ident)
			if ok && of.Name == "os" && slices.Contains([]string{"Getenv", "LookupEnv", "ExpandEnv"}, selector.Sel.Name) {
				t.Errorf("%s:%d reads the environment with os.%s", file, fset.Position(n.Pos()).Line, selector.Sel.Name)
			}
			return true
		})
	})
}
