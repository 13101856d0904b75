package blockfile

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// One suite, both kinds of folder.
func TestFile(t *testing.T) {
	t.Parallel()
	for name, path := range map[string]string{"files": t.TempDir(), "memory": ""} {
		folder, err := OpenFolder(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := folder.Open("a")
		if err != nil {
			t.Fatal(err)
		}
		write := func(s string, at int64) {
			t.Helper()
			if _, err := f.WriteAt([]byte(s), at); err != nil {
				t.Fatal(err)
			}
		}
		write("hello", 0)
		write("world", 5)
		if err := f.Truncate(7); err != nil {
			t.Fatal(err)
		}
		write("!", 8)
		all, err := io.ReadAll(io.NewSectionReader(f, 0, 100))
		if err != nil || !bytes.Equal(all, []byte("hellowo\x00!")) {
			t.Errorf("%s: %q, %v", name, all, err)
		}
		if n, err := f.ReadAt(make([]byte, 1), 9); n != 0 || !errors.Is(err, io.EOF) {
			t.Errorf("%s: read at the end: %d, %v", name, n, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := folder.Remove("a"); err != nil {
			t.Fatal(err)
		}
		if names, err := folder.Names(); err != nil || len(names) != 0 {
			t.Errorf("%s: left %v, %v", name, names, err)
		}
	}
}
