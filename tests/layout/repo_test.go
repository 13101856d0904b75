package layout

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// root is the repository, seen from this package's folder, in which go test runs it.
const root = "../.."

// ownPackage is what the go command says of one package of this repository.
type ownPackage struct {
	ImportPath                         string
	Dir                                string
	Imports, TestImports, XTestImports []string
	Deps                               []string
}

// name is the import path without the module's first word: broker/internal/storage.
func (p ownPackage) name() string { return strings.TrimPrefix(p.ImportPath, "millrace/") }

// ours keeps the imports that belong to this repository, by their short names.
func ours(imports []string) []string {
	var own []string
	for _, path := range imports {
		if short, ok := strings.CutPrefix(path, "millrace/"); ok {
			own = append(own, short)
		}
	}
	slices.Sort(own)
	return slices.Compact(own)
}

var listOnce = sync.OnceValues(func() ([]ownPackage, error) {
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Imports,TestImports,XTestImports,Deps", "work")
	cmd.Dir = root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.New(err.Error() + ": " + stderr.String())
	}
	var packages []ownPackage
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p ownPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
})

// packages are all packages of all modules in go.work.
func packages(t *testing.T) []ownPackage {
	t.Helper()
	all, err := listOnce()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("go list found no package")
	}
	return all
}

// files calls visit with each file of the repository whose name ends so, by its path from the root.
func files(t *testing.T, suffix string, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if name := d.Name(); rel != "." && (strings.HasPrefix(name, ".") || name == "bin" || name == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(rel, suffix) {
			visit(rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
